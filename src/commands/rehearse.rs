//! `tubectl rehearse`: up, demo and down in virtual time, against a world in this process.

use std::collections::BTreeMap;

use camino::Utf8Path;
use tubectl_clock::Clock;
use tubectl_world::Core;
use tubectl_world::connect::Connector;
use tubectl_world::connect::Programs;
use tubectl_world::connect::World;

use crate::apply::cancel::Cancel;
use crate::clients::Clients;
use crate::commands::args::Rehearse;
use crate::commands::connect::Pace;
use crate::commands::context::Context;
use crate::commands::context::Home;
use crate::commands::context::WorldName;
use crate::commands::demo;
use crate::commands::down;
use crate::commands::gateway;
use crate::commands::session::Session;
use crate::commands::up;
use crate::error::Failure;
use crate::event::Events;
use crate::show::director::Cues;
use crate::show::report::Report;
use crate::show::report::Servers;
use crate::stack::load;
use crate::stack::load::Files;
use crate::stack::load::Settings;
use crate::state::store::Store;
use crate::teardown;
use crate::teardown::Options;
use crate::ui::output::Format;
use crate::ui::output::Output;
use crate::ui::view;

/// The account of a world in this process.
const ACCOUNT: &str = "123456789012";

/// When a rehearsal begins: the same moment in every one, so that the same seed gives the same events.
const BEGINS: &str = "2026-01-05T09:00:00Z";

/// The point in time at which a rehearsal begins.
pub fn begins() -> jiff::Timestamp {
    BEGINS.parse().expect("the constant is a point in time")
}

/// An empty world.
pub fn core(seed: u64) -> Core {
    Core::new(&tubectl_world::Settings {
        seed,
        account: ACCOUNT.to_owned(),
        begins: begins(),
    })
}

/// What came of a rehearsal.
#[derive(Clone, Debug)]
pub struct Rehearsed {
    /// Of the show, if the stack has one.
    pub show: Option<Report>,
    /// Of the teardown.
    pub down: teardown::Report,
}

/// Rehearses, in virtual time, while its events are shown: time does not pass for those who look on, so in lines.
pub async fn run(arguments: &Rehearse, home: &Utf8Path, format: Format, output: Output) -> Result<(), Failure> {
    let (files, settings) = arguments.stack.read()?;
    let clock = Clock::starting_at(begins());
    let world = World::new(core(arguments.seed), clock, programs());
    let (events, heard) = Events::channel(clock);
    let options = view::Options {
        format,
        output,
        terminal: None,
    };
    let work = Box::pin(rehearse(
        &world,
        world.connector(),
        &files,
        &settings,
        home.join("cache"),
        events,
    ));
    let rehearsed = tokio::select! {
        biased;
        (rehearsed, ()) = async { tokio::join!(work, view::watch(heard, options, clock)) } => rehearsed?,
        () = world.run() => unreachable!("a world runs until it is dropped"),
    };
    if let (Some(show), Format::Text) = (&rehearsed.show, format) {
        output.data(&format!("{show}\n"));
    }
    output.data(&down::told(&rehearsed.down, format));
    rehearsed.show.as_ref().map_or(Ok(()), demo::verdict)
}

/// Rehearses a stack in a world that a connector leads to: from an empty account to an empty account.
pub async fn rehearse(
    world: &World,
    connector: Connector,
    files: &Files,
    settings: &Settings,
    cache: camino::Utf8PathBuf,
    events: Events,
) -> Result<Rehearsed, Failure> {
    let region = load::region(files, settings).map_err(Failure::yours)?;
    let context = Context {
        world: WorldName::Local,
        clients: Clients::local(connector, &region, world.clock()),
        clock: world.clock(),
        events,
        cancel: Cancel::default(),
        home: Home::Memory {
            journal: Store::memory(),
            cache,
        },
        pace: Pace::default(),
        fence: None,
    };
    raise(&context, files, settings).await?;
    let session = Session::open(&context, "demo", files, settings).await?;
    let show = match session.stack.demo {
        Some(_) => Some(Box::pin(play(&context, &session, world)).await?),
        None => None,
    };
    let session = Session::open(&context, "down", files, settings).await?;
    let down = down::take_down(&context, &session, &Options::default()).await?;
    down::verdict(&context, &down)?;
    Ok(Rehearsed { show, down })
}

/// Plays the show until one replica is wanted again.
async fn play(context: &Context, session: &Session, world: &World) -> Result<Report, Failure> {
    let options = demo::Options {
        minutes: None,
        cues: Cues::Auto,
        audience: demo::Audience::Played,
        afterwards: demo::Afterwards::Settle,
        seed: fastrand::u64(..),
        doors: BTreeMap::new(),
    };
    let report = Box::pin(demo::play(context, session, options)).await?;
    let report = report.with_servers(servers(world));
    demo::tell(context, &report);
    Ok(report)
}

/// What every model server that ever lived answered, as the world counts it.
fn servers(world: &World) -> Servers {
    let served = world.look(Core::served);
    served.values().fold(Servers::default(), |sum, one| Servers {
        served: sum.served + one.answered + one.refused,
        aborted: sum.aborted + one.aborted,
    })
}

async fn raise(context: &Context, files: &Files, settings: &Settings) -> Result<(), Failure> {
    let session = Session::open(context, "up", files, settings).await?;
    let look = session.look(context).await?;
    let outcome = up::apply(context, &session, &look).await?;
    up::verdict(context, &outcome)
}

/// The programs that run in pods of the world.
pub fn programs() -> Programs {
    Programs::default().with("tubectl serve gateway", gateway::start())
}
