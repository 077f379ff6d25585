//! An app over a watched storage and a model of a few lines.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;

use bytes::Bytes;
use futures::future::BoxFuture;
use http::Method;
use http::Request;
use http::Response;
use serde_json::Value;
use serde_json::json;
use tubectl_clock::Clock;
use tubectl_gateway::Gateway;
use tubectl_gateway::Listing;
use tubectl_gateway::MemoryStorage;
use tubectl_gateway::Mode;
use tubectl_gateway::Settings;
use tubectl_gateway::Show;
use tubectl_gateway::Storage;
use tubectl_gateway::StorageError;
use tubectl_gateway::Upstream;

pub(crate) type ModelAnswer = Pin<Box<dyn Future<Output = Result<Response<Bytes>, String>> + Send>>;

pub(crate) const CHAT: &str = "/v1/chat/completions";

/// A storage that counts what is read and can be made to fail.
#[derive(Default)]
pub(crate) struct Watched {
    pub(crate) memory: MemoryStorage,
    pub(crate) reads: AtomicUsize,
    pub(crate) broken: AtomicBool,
}

impl Watched {
    pub(crate) fn check(&self) -> Result<(), StorageError> {
        if self.broken.load(Relaxed) {
            Err(StorageError::new("the bucket is gone"))
        } else {
            Ok(())
        }
    }

    pub(crate) async fn keys(&self, prefix: &str) -> Vec<String> {
        let (mut keys, mut page) = (Vec::new(), None);
        loop {
            let listing = self.memory.list(prefix, page).await.unwrap();
            keys.extend(listing.keys);
            page = listing.next;
            if page.is_none() {
                return keys;
            }
        }
    }
}

impl Storage for Watched {
    fn get<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<Bytes>, StorageError>> {
        self.reads.fetch_add(1, Relaxed);
        Box::pin(async move {
            self.check()?;
            self.memory.get(key).await
        })
    }

    fn put<'a>(&'a self, key: &'a str, body: Bytes) -> BoxFuture<'a, Result<(), StorageError>> {
        Box::pin(async move {
            // Others get their turn while the bytes travel.
            tokio::task::yield_now().await;
            self.check()?;
            self.memory.put(key, body).await
        })
    }

    fn delete<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<(), StorageError>> {
        self.memory.delete(key)
    }

    fn list<'a>(&'a self, prefix: &'a str, page: Option<String>) -> BoxFuture<'a, Result<Listing, StorageError>> {
        self.reads.fetch_add(1, Relaxed);
        Box::pin(async move {
            self.check()?;
            self.memory.list(prefix, page).await
        })
    }
}

pub(crate) struct App {
    pub(crate) gateway: Gateway,
    pub(crate) storage: Arc<Watched>,
    pub(crate) clock: Clock,
}

impl App {
    pub(crate) fn new() -> Self {
        Self::with_model(|_, _| Box::pin(async { Ok(said("Mind the gap.")) }))
    }

    pub(crate) fn with_model(model: impl Fn(Clock, Request<Bytes>) -> ModelAnswer + Send + Sync + 'static) -> Self {
        Self::over(Arc::default(), "monday", model)
    }

    pub(crate) fn over(
        storage: Arc<Watched>,
        session: &str,
        model: impl Fn(Clock, Request<Bytes>) -> ModelAnswer + Send + Sync + 'static,
    ) -> Self {
        let clock = Clock::starting_at("2026-11-22T19:00:00Z".parse().unwrap());
        let settings = Settings {
            show: Show::quiz(session),
            model: "mistral-7b-awq".to_owned(),
            upstream: "vllm-service:8000".parse().unwrap(),
        };
        let upstream = Upstream::new(move |request| model(clock, request));
        Self {
            gateway: Gateway::new(settings, storage.clone(), upstream, clock, 7),
            storage,
            clock,
        }
    }

    /// The same app after its process was replaced.
    pub(crate) fn restarted(self) -> Self {
        let show = self.gateway.show();
        let next = Self::over(self.storage, &show.session, |_, _| {
            Box::pin(async { Ok(said("Mind the gap.")) })
        });
        next.gateway.configure(show);
        next
    }

    pub(crate) async fn send(&self, method: Method, path: &str, body: impl Into<Bytes>) -> Response<Bytes> {
        let request = Request::builder().method(method).uri(path).body(body.into()).unwrap();
        self.gateway.handle(request).await
    }

    pub(crate) async fn get(&self, path: &str) -> Value {
        let response = self.send(Method::GET, path, "").await;
        assert_eq!(response.status(), 200, "{path}");
        serde_json::from_slice(response.body()).unwrap()
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        let response = self.send(Method::POST, path, body.to_string()).await;
        (
            response.status().as_u16(),
            serde_json::from_slice(response.body()).unwrap(),
        )
    }

    pub(crate) async fn ask(&self, question: &str) -> (u16, Value) {
        self.post("/api/question/submit", &json!({"question": question})).await
    }

    pub(crate) async fn vote(&self, browser: usize) -> (u16, Value) {
        self.post(
            "/api/survey/submit",
            &json!({"rating": 5, "browser": format!("browser-{browser:08}")}),
        )
        .await
    }

    pub(crate) fn flip(&self, mode: Mode) {
        self.gateway.configure(Show {
            mode,
            ..self.gateway.show()
        });
    }

    pub(crate) async fn metrics(&self) -> String {
        String::from_utf8(self.send(Method::GET, "/metrics", "").await.into_body().to_vec()).unwrap()
    }

    /// Every question, page by page.
    pub(crate) async fn all_questions(&self, limit: usize) -> Vec<String> {
        let (mut all, mut after) = (Vec::new(), String::new());
        loop {
            let page = self.get(&format!("/api/questions?limit={limit}&after={after}")).await;
            let questions = page["questions"].as_array().unwrap();
            assert!(questions.len() <= limit);
            all.extend(
                questions
                    .iter()
                    .map(|question| question["question"].as_str().unwrap().to_owned()),
            );
            match page["next"].as_str() {
                Some(next) => next.clone_into(&mut after),
                None => return all,
            }
        }
    }
}

pub(crate) fn said(answer: &str) -> Response<Bytes> {
    let body = json!({"choices": [{"message": {"role": "assistant", "content": answer}}]});
    Response::new(Bytes::from(body.to_string()))
}

pub(crate) fn status(status: u16) -> Response<Bytes> {
    Response::builder()
        .status(status)
        .header("content-type", "text/plain")
        .body(Bytes::from("upstream says"))
        .unwrap()
}
