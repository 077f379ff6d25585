//! The tube stack, up: brought up once for all laws that begin there, and as it reads after somebody changed a value.

use std::sync::LazyLock;

use tubectl::commands::context::Context;
use tubectl::commands::session::Session;
use tubectl::commands::status::Standing;
use tubectl::error::Failure;
use tubectl::stack::load::Files;
use tubectl::stack::load::Settings;

use crate::stage;
use crate::stage::Moment;
use crate::stage::Stage;
use crate::stage::play;

const STACK: &str = include_str!("../../stacks/tube/stack.yaml");
const DEMO: &str = include_str!("../../stacks/tube/demo.yaml");

/// The moment at which the tube stack stands.
pub(crate) static UP: LazyLock<Moment> = LazyLock::new(|| {
    play(&Moment::beginning(), &stage::find("tube"), async |stage| {
        stage.up().await.unwrap_or_else(|failure| panic!("{failure}"));
        stage.moment()
    })
});

/// The tube stack with one value changed.
pub(crate) fn with(from: &str, to: &str) -> Files {
    assert_eq!(STACK.matches(from).count(), 1, "`{from}` is to stand in the stack once");
    let stack = STACK.replace(from, to);
    let demo = ("demo.yaml", DEMO.as_bytes());
    Files::of(("stack.yaml", stack.as_bytes()), Some(demo))
}

/// The tube stack with another show.
pub(crate) fn playing(demo: &str) -> Files {
    let demo = ("demo.yaml", demo.as_bytes());
    Files::of(("stack.yaml", STACK.as_bytes()), Some(demo))
}

/// The session of a command on a stage.
pub(crate) async fn open(context: &Context, files: &Files, command: &str) -> Session {
    let session = Session::open(context, command, files, &Settings::default()).await;
    session.unwrap_or_else(|failure| panic!("{failure}"))
}

/// What `tubectl status` says.
pub(crate) async fn status(stage: &Stage) -> Result<String, Failure> {
    let session = open(&stage.context, &stage.files, "status").await;
    let standing = Standing::of(&stage.context, &session).await?;
    Ok(standing.text(&stage.context, &session))
}
