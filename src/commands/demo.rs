//! `tubectl demo`: play the show on a stack that stands.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::commands::context::Context;
use crate::commands::cue::stage;
use crate::commands::session::Session;
use crate::cost::estimate::Fixed;
use crate::error::Failure;
use crate::error::Kind as FailureKind;
use crate::show::audience;
use crate::show::director::Cues;
use crate::show::director::Stage;
use crate::show::director::direct;
use crate::show::load;
use crate::show::report::Played;
use crate::show::report::Report;
use crate::show::script::Script;
use crate::show::script::in_minutes;
use crate::show::telemetry::Telemetry;

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
    /// Cues that are fired by hand while the show runs.
    pub asked: mpsc::Receiver<String>,
    /// Whether the script's audience plays.
    pub audience: Audience,
    /// What comes after the end.
    pub afterwards: Afterwards,
    /// The seed of the load's chance.
    pub seed: u64,
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

/// Plays the show of a stack.
pub async fn play(context: &Context, session: &Session, options: Options) -> Result<Report, Failure> {
    let written = stage(context, session).await?;
    let minutes = options.minutes.unwrap_or(written.demo.minutes.value);
    if minutes == 0 {
        let what = "a show of no minutes is none";
        return Err(Failure::said(FailureKind::Yours, what, "give it time: --minutes 30"));
    }
    let script = Script::of(&written.demo, minutes);
    let stage = Stage {
        demo: in_minutes(&written.demo, minutes),
        ..written
    };
    let model = page_answers(context, &stage).await?;
    context.events.note(format!("the page is at {}", stage.page.address));
    stage.begin().await.map_err(Failure::yours)?;
    Box::pin(run(context, session, &stage, &script, &model, minutes, options)).await
}

/// Waits for the page; gives the model that it asks.
async fn page_answers(context: &Context, stage: &Stage) -> Result<String, Failure> {
    let begun = context.clock.now();
    loop {
        match stage.page.config().await {
            Ok(config) => return Ok(config.model),
            Err(error) if context.cancel.is_draining() || context.clock.since(begun) >= PAGE_WITHIN => {
                return Err(Failure::yours(error));
            }
            Err(_) => context.clock.sleep(Duration::from_secs(5)).await,
        }
    }
}

async fn run(
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
    let over = CancellationToken::new();
    let directing = async {
        let directed = direct(
            stage,
            script,
            telemetry.begun,
            options.cues,
            options.asked,
            &context.cancel,
        )
        .await;
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
