//! The page as a document: whole in itself, and held to its policy.

#![expect(clippy::unwrap_used, reason = "what a test relies on is the test")]

use std::convert::Infallible;
use std::io::Read as _;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use flate2::read::GzDecoder;
use http::Request;
use http::Response;
use sha2::Digest as _;
use sha2::Sha256;
use tubectl_clock::Clock;
use tubectl_gateway::Gateway;
use tubectl_gateway::MemoryStorage;
use tubectl_gateway::Settings;
use tubectl_gateway::Show;
use tubectl_gateway::Upstream;

async fn page(request: Request<Bytes>) -> Response<Bytes> {
    let settings = Settings {
        show: Show::quiz(""),
        model: "m".to_owned(),
        upstream: "vllm:8000".parse().unwrap(),
    };
    let upstream = Upstream::new(|_| async { Ok::<_, Infallible>(Response::new(Bytes::new())) });
    Gateway::new(settings, Arc::new(MemoryStorage::default()), upstream, Clock::real(), 7)
        .handle(request)
        .await
}

async fn document() -> String {
    let response = page(Request::get("/").body(Bytes::new()).unwrap()).await;
    String::from_utf8(response.into_body().to_vec()).unwrap()
}

fn between<'a>(text: &'a str, from: &str, to: &str) -> &'a str {
    text.split_once(from).unwrap().1.split_once(to).unwrap().0
}

#[tokio::test]
async fn the_policy_admits_the_pages_own_style_and_script_and_nothing_else() {
    let response = page(Request::get("/").body(Bytes::new()).unwrap()).await;
    let policy = response.headers()["content-security-policy"]
        .to_str()
        .unwrap()
        .to_owned();
    let document = String::from_utf8(response.into_body().to_vec()).unwrap();
    for (directive, text) in [
        ("style-src", between(&document, "<style>", "</style>")),
        ("script-src", between(&document, "<script>", "</script>")),
    ] {
        let hash = STANDARD.encode(Sha256::digest(text));
        assert!(policy.contains(&format!("{directive} 'sha256-{hash}'")), "{policy}");
    }
    assert!(policy.starts_with("default-src 'none';"), "{policy}");
    assert!(!policy.contains("unsafe"), "{policy}");
}

#[tokio::test]
async fn nothing_is_fetched_from_anywhere_else() {
    let document = document().await;
    for foreign in ["http://", "https://", "//cdn", "@import", "url(", "src=", "{{"] {
        assert!(!document.contains(foreign), "the page contains `{foreign}`");
    }
    assert!(
        document.len() < 40_000,
        "{} bytes are too many for a full hall's network",
        document.len()
    );
}

#[tokio::test]
async fn every_screen_has_a_heading_and_every_field_a_label() {
    let document = document().await;
    let screens = [
        "loading",
        "question",
        "asking",
        "answer",
        "survey",
        "waiting",
        "winner",
        "not-winner",
        "closed",
    ];
    for screen in screens {
        let section = between(&document, &format!("data-screen=\"{screen}\""), "</section>");
        assert!(section.contains("<h1 tabindex=\"-1\""), "{screen} has no heading");
    }
    for field in ["question", "company", "feedback"] {
        assert!(
            document.contains(&format!("<label for=\"{field}\">")),
            "{field} has no label"
        );
    }
    for rating in 1..=5 {
        assert!(document.contains(&format!(
            "<label><input type=\"radio\" name=\"rating\" value=\"{rating}\""
        )));
    }
}

#[tokio::test]
async fn a_phone_that_has_the_page_is_not_sent_it_again() {
    let first = page(Request::get("/").body(Bytes::new()).unwrap()).await;
    let tag = first.headers()["etag"].clone();
    let again = page(
        Request::get("/")
            .header("if-none-match", tag)
            .body(Bytes::new())
            .unwrap(),
    )
    .await;
    assert_eq!((again.status().as_u16(), again.body().len()), (304, 0));
}

#[tokio::test]
async fn a_phone_that_takes_gzip_gets_the_same_page_in_a_third_of_the_bytes() {
    let request = Request::get("/").header("accept-encoding", "br, gzip, deflate");
    let response = page(request.body(Bytes::new()).unwrap()).await;
    assert_eq!(response.headers()["content-encoding"], "gzip");
    let mut unpacked = String::new();
    GzDecoder::new(response.body().as_ref())
        .read_to_string(&mut unpacked)
        .unwrap();
    assert_eq!(unpacked, document().await);
    let share = response.body().len() * 100 / unpacked.len();
    assert!(share <= 35, "{share} % of {} bytes", unpacked.len());
}
