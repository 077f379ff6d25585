//! `tubectl demo`: play the show on a stack that stands; where nothing of it does, offer `up` first.

use std::collections::BTreeMap;
use std::time::Duration;

use camino::Utf8Path;
use tokio_util::sync::CancellationToken;

use crate::commands::args::Demo;
use crate::commands::args::PlaceArguments;
use crate::commands::args::SpeedArguments;
use crate::commands::args::Up;
use crate::commands::connect::Intent;
use crate::commands::connect::connect;
use crate::commands::context::Context;
use crate::commands::cue::stage;
use crate::commands::live::stoppable;
use crate::commands::live::watched;
use crate::commands::place;
use crate::commands::place::Meant;
use crate::commands::session::Session;
use crate::commands::session::failed;
use crate::commands::up;
use crate::cost::estimate::Fixed;
use crate::error::Failure;
use crate::error::Kind as FailureKind;
use crate::event::EventKind;
use crate::show::ShowError;
use crate::show::audience;
use crate::show::director::Cues;
use crate::show::director::Ending;
use crate::show::director::Stage;
use crate::show::director::direct;
use crate::show::load;
use crate::show::report::Played;
use crate::show::report::Report;
use crate::show::script::Script;
use crate::show::script::in_minutes;
use crate::show::telemetry::Telemetry;
use crate::stack::load::Files;
use crate::stack::load::Settings;
use crate::ui::output::Format;
use crate::ui::output::Output;

/// How fast time passes in the local world during a show, if nobody says: people watch.
const SPEED: f64 = 1.0;

/// How long a page may take to answer: a new load balancer takes two to three minutes.
const PAGE_WITHIN: Duration = Duration::from_mins(5);

/// How long the last replicas may take to go: the autoscaler's window, node by node.
const SETTLES_WITHIN: Duration = Duration::from_mins(45);

/// How a show is played.
pub struct Options {
    /// How long it is; as long as it is written if not said.
    pub minutes: Option<u32>,
    /// Who fires cues.
    pub cues: Cues,
    /// Whether the script's audience plays.
    pub audience: Audience,
    /// What comes after the end.
    pub afterwards: Afterwards,
    /// The seed of the load's chance.
    pub seed: u64,
    /// Where hosts of the world are found from outside, by their names; those that are not in it have their own.
    pub doors: BTreeMap<String, String>,
}

/// Who is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audience {
    /// People.
    Real,
    /// The script's own.
    Played,
}

/// What comes after the end of a show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Afterwards {
    /// Nothing.
    End,
    /// Look on until one replica is wanted again.
    Settle,
}

/// Offers to bring the stack up where nothing of it stands, plays the show, and tells what came of it.
pub async fn run(arguments: &Demo, home: &Utf8Path, format: Format, output: Output) -> Result<(), Failure> {
    let Meant { files, settings, place } = place::standing(&arguments.stack, &arguments.place, home)?;
    if !stands(&place, home, (&files, &settings), output).await? {
        output.narrate("there is no stage yet: first the stack is brought up");
        Box::pin(up::run(&first(arguments, &place), home, format, output)).await?;
    }
    let intent = Intent::Change {
        command: "tubectl demo",
        speed: arguments.speed.speed.unwrap_or(SPEED),
    };
    let connected = connect(&place, home, (&files, &settings), intent, output).await?;
    let doors = match &connected.daemon {
        Some(daemon) => daemon.doors().await?,
        None => BTreeMap::new(),
    };
    let options = Options {
        minutes: arguments.minutes,
        cues: if arguments.auto { Cues::Auto } else { Cues::ByHand },
        audience: if arguments.audience {
            Audience::Played
        } else {
            Audience::Real
        },
        afterwards: Afterwards::End,
        seed: fastrand::u64(..),
        doors,
    };
    let played = watched(connected, format, output, async |context| {
        let session = Session::open(&context, "demo", &files, &settings).await?;
        let report = stoppable(&context, Box::pin(play(&context, &session, options))).await?;
        tell(&context, &report);
        Ok(report)
    });
    let report = Box::pin(played).await?;
    if format == Format::Text {
        output.data(&report.to_string());
    }
    verdict(&report)
}

/// Whether anything of the stack is there.
async fn stands(
    place: &PlaceArguments,
    home: &Utf8Path,
    (files, settings): (&Files, &Settings),
    output: Output,
) -> Result<bool, Failure> {
    let connected = connect(place, home, (files, settings), Intent::Look, output).await?;
    let session = Session::open(&connected.context, "demo", files, settings).await?;
    Ok(!session.aws.observe().await.map_err(failed)?.is_empty())
}

/// The `up` that comes before a show; the speed that was named is the show's.
fn first(arguments: &Demo, place: &PlaceArguments) -> Up {
    Up {
        stack: arguments.stack.clone(),
        place: place.clone(),
        consent: arguments.consent,
        speed: SpeedArguments::default(),
    }
}

/// What the report means for whoever typed the command.
pub fn verdict(report: &Report) -> Result<(), Failure> {
    if report.ending == Ending::Stopped {
        let what = "the show was stopped; the stack still stands";
        let next = "play it again: `tubectl demo`, or take it away: `tubectl down`";
        return Err(Failure::said(FailureKind::Interrupted, what, next));
    }
    let missed: Vec<&str> = report
        .thresholds
        .iter()
        .filter(|threshold| !threshold.kept)
        .map(|threshold| threshold.threshold.as_str())
        .collect();
    if missed.is_empty() {
        return Ok(());
    }
    let what = format!("the show missed: {}", missed.join(", "));
    let next = "the timeline shows when; change what scales, or the thresholds in demo.yaml";
    Err(Failure::said(FailureKind::Check, what, next))
}

/// Plays the show of a stack, until it is over or stopped; whoever does not wait for what runs leaves at once.
pub async fn play(context: &Context, session: &Session, options: Options) -> Result<Report, Failure> {
    let written = stage(context, session).await?;
    let minutes = options.minutes.unwrap_or(written.demo.minutes.value);
    if minutes == 0 {
        let what = "a show of no minutes is none";
        return Err(Failure::said(FailureKind::Yours, what, "give it time: --minutes 30"));
    }
    let script = Script::of(&written.demo, minutes);
    let host = written.page.address.trim_start_matches("http://");
    let stage = Stage {
        demo: in_minutes(&written.demo, minutes),
        opens: options.doors.get(host).unwrap_or(&written.opens).clone(),
        ..written
    };
    let model = page_answers(context, &stage).await?;
    stage.begin().await.map_err(Failure::yours)?;
    tokio::select! {
        biased;
        () = context.cancel.abandoned() => Err(left()),
        report = Box::pin(on_stage(context, session, &stage, &script, &model, minutes, options)) => report,
    }
}

/// Tells those who listen what came of a show.
pub fn tell(context: &Context, report: &Report) {
    let report = serde_json::to_value(report).expect("a report is plain data");
    context.events.emit(EventKind::Report { report });
}

fn left() -> Failure {
    let what = "the show was left in the middle; the stack still stands";
    let next = "what was sent is answered by nobody; play it again: `tubectl demo`, or take it away: `tubectl down`";
    Failure::said(FailureKind::Interrupted, what, next)
}

/// Waits for the page; gives the model that it asks.
async fn page_answers(context: &Context, stage: &Stage) -> Result<String, Failure> {
    let begun = context.clock.now();
    loop {
        let error = match stage.page.config().await {
            Ok(config) => return Ok(config.model),
            Err(error) => error,
        };
        if context.clock.since(begun) >= PAGE_WITHIN {
            return Err(Failure::yours(error));
        }
        tokio::select! {
            biased;
            () = context.cancel.draining() => return Err(unanswered(error)),
            () = context.clock.sleep(Duration::from_secs(5)) => {}
        }
    }
}

/// Stopped before the page answered for the first time.
fn unanswered(error: ShowError) -> Failure {
    Failure {
        kind: FailureKind::Interrupted,
        ..Failure::yours(error)
    }
}

async fn on_stage(
    context: &Context,
    session: &Session,
    stage: &Stage,
    script: &Script,
    model: &str,
    minutes: u32,
    options: Options,
) -> Result<Report, Failure> {
    let demo = &stage.demo;
    let clock = context.clock;
    let plan = load::plan(&demo.load, &stage.page.address, model).map_err(Failure::yours)?;
    let web = context.clients.web();
    let live = load::Live::default();
    let telemetry = Telemetry {
        kube: &stage.kube,
        demo,
        live: &live,
        region: &session.aws.place.region,
        fixed: Fixed::of(&session.stack.resources),
        clock,
        events: &context.events,
        begun: clock.now(),
        seen: std::sync::Mutex::default(),
    };
    telemetry.count_before().await;
    let over = CancellationToken::new();
    let directing = async {
        let directed = direct(stage, script, telemetry.begun, options.cues, &context.cancel).await;
        over.cancel();
        directed
    };
    let playing = async {
        match options.audience {
            Audience::Real => None,
            Audience::Played => Some(audience::play(&demo.audience, &stage.page, clock, over.cancelled()).await),
        }
    };
    let sending = load::send(&plan, &web, clock, options.seed, &live, over.cancelled());
    let ((ending, marks), load, audience) = tokio::select! {
        biased;
        played = async { tokio::join!(directing, sending, playing) } => played,
        () = telemetry.look_on() => unreachable!("looking on has no end"),
    };
    telemetry.look().await;
    if options.afterwards == Afterwards::Settle {
        settle(context, &telemetry).await;
    }
    Ok(Report::of(Played {
        demo: &demo.demo,
        minutes,
        ending,
        marks: &marks,
        seen: &telemetry.into_seen(),
        load,
        thresholds: &demo.load.thresholds,
        audience,
    }))
}

/// Looks on until one replica is wanted again.
async fn settle(context: &Context, telemetry: &Telemetry<'_>) {
    let begun = context.clock.now();
    while telemetry.desired().is_none_or(|desired| desired > 1) {
        if context.cancel.is_draining() {
            return;
        }
        if context.clock.since(begun) >= SETTLES_WITHIN {
            context
                .events
                .note("more than one replica is still wanted; the stack is left as it is");
            return;
        }
        context.clock.sleep(Duration::from_secs(5)).await;
        telemetry.look().await;
    }
}
