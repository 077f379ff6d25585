//! No secret is written down or told: it is looked for in everything that a run leaves behind or says.

use std::io;
use std::io::Write;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;
use tubectl::commands::plan;

use crate::stage;
use crate::stage::Moment;
use crate::stage::Stage;
use crate::stage::play;

/// A value of a workload in the stack of one of each kind.
const PLANTED: &str = "planted-in-a-value";

/// The secret key of whoever works in the local world.
const KEY: &str = "the-local-world-judges-no-signature";

/// The debug log of everybody, as `-vv` writes it.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut log = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        log.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// What was shown of a look: the plan for people, and for programs.
async fn planned(stage: &Stage) -> String {
    let look = stage.look().await.unwrap_or_else(|failure| panic!("{failure}"));
    plan::text(&look) + &plan::document(&look).to_string()
}

#[test]
fn no_secret_is_written_down_or_told() {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new("debug"))
        .with_writer(log.clone())
        .finish();
    let (told, sent) = play(&Moment::beginning(), &stage::each(), async move |stage| {
        let _logging = tracing::subscriber::set_default(subscriber);
        let mut told = vec![("plan", planned(stage).await)];
        stage.up().await.unwrap_or_else(|failure| panic!("{failure}"));
        told.push(("plan after up", planned(stage).await));
        told.push(("journal after up", stage.moment().journal));
        stage.down().await.unwrap_or_else(|failure| panic!("{failure}"));
        told.push(("journal after down", stage.moment().journal));
        told.push(("events", stage.told()));
        (told, stage.watch.secrets())
    });
    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(log.contains("DEBUG"), "nothing was logged");
    assert!(
        sent.len() >= 2,
        "a token for the cluster and a password for the registry: {sent:?}"
    );
    let mut secrets = vec![PLANTED.to_owned(), STANDARD.encode(PLANTED), KEY.to_owned()];
    secrets.extend(sent);
    for (place, text) in told.iter().map(|(place, text)| (*place, text)).chain([("log", &log)]) {
        assert!(!text.is_empty(), "{place}");
        for secret in &secrets {
            assert!(!text.contains(secret.as_str()), "`{secret}` is in the {place}");
        }
    }
}
