//! What scales does so by its rules: by nothing else, and not at all where one of their texts is wrong.

use std::collections::BTreeMap;
use std::time::Duration;

use tubectl::commands::demo;
use tubectl::commands::forecast::Forecast;
use tubectl::show::director::Cues;
use tubectl::show::report::Report;

use crate::stage;
use crate::stage::Moment;
use crate::stage::Stage;
use crate::stage::play;
use crate::tube;

/// How the laws play a show: the script fires its cues, and its own audience is there.
pub(crate) fn options(minutes: Option<u32>) -> demo::Options {
    demo::Options {
        minutes,
        cues: Cues::Auto,
        audience: demo::Audience::Played,
        afterwards: demo::Afterwards::End,
        seed: fastrand::u64(..),
        doors: BTreeMap::new(),
    }
}

/// Plays the stack's show, and stops it after a time.
async fn show(stage: &Stage, minutes: Option<u32>, stops: Option<Duration>) -> Report {
    let context = &stage.context;
    let session = tube::open(context, &stage.files, "demo").await;
    let stop = async {
        match stops {
            Some(after) => context.clock.sleep(after).await,
            None => std::future::pending().await,
        }
        context.cancel.escalate();
        std::future::pending::<()>().await;
    };
    let played = Box::pin(demo::play(context, &session, options(minutes)));
    tokio::select! {
        biased;
        report = played => report.unwrap_or_else(|failure| panic!("{failure}")),
        () = stop => unreachable!("it has no end"),
    }
}

#[test]
fn ten_replicas_are_wanted_within_six_minutes_of_the_first_load() {
    play(&tube::UP, &stage::find("tube"), async |stage| {
        let report = show(stage, None, Some(Duration::from_mins(8))).await;
        assert_eq!(report.timeline[0].sample.desired, 1);
        let (most, at) = report.peak().expect("something was seen");
        // The load begins with the show.
        assert!(
            most == 10 && at <= Duration::from_mins(6),
            "{most} wanted after {at:?}\n{report}"
        );
    });
}

#[test]
fn with_a_tenfold_target_the_same_show_never_wants_ten_replicas() {
    let scaler = "scaler: keda-otel-scaler.keda.svc:4318";
    let files = tube::with(scaler, &format!("{scaler}\n      target: 250"));
    play(&tube::UP, &files, async |stage| {
        stage.up().await.unwrap_or_else(|failure| panic!("{failure}"));
        let report = show(stage, None, None).await;
        let (most, _) = report.peak().expect("something was seen");
        assert!((2..10).contains(&most), "{report}");
    });
}

#[test]
fn a_wrong_word_in_the_scaling_chain_keeps_one_replica_and_status_says_which() {
    let scrape = "scrape: {namespace: default, app: vllm, port: 8000}";
    let scaler = "scaler: keda-otel-scaler.keda.svc:4318";
    let colons = "triggers: {running: {query: \"sum(vllm:num_requests_running)\"}, \
                  waiting: {query: \"sum(vllm:num_requests_waiting)\"}}";
    let cases = [
        (scrape, scrape.replace("8000", "8001")),
        (scrape, scrape.replace("app: vllm", "app: vlm")),
        (scaler, format!("{scaler}\n      {colons}")),
    ];
    let mut told = Vec::new();
    for (right, wrong) in cases {
        play(&tube::UP, &tube::with(right, &wrong), async |stage| {
            stage.up().await.unwrap_or_else(|failure| panic!("{failure}"));
            let report = show(stage, Some(4), None).await;
            assert!(report.timeline.iter().any(|row| row.sample.waiting > 0), "{report}");
            assert_eq!(report.peak().map(|(most, _)| most), Some(1), "{wrong}\n{report}");
            let status = tube::status(stage).await.unwrap_or_else(|failure| panic!("{failure}"));
            let (_, chain) = status.split_once("everything is as the stack says\n").expect(&status);
            told.push(chain.to_owned());
        });
    }
    insta::assert_snapshot!(told.join("\n"), @r"
    default/vllm does not scale, a link is broken: collector keda/collector and vLLM
      it scrapes port 8001; pods of default/vllm listen on 8000, so no sample arrives
      next: let release `collector` scrape port 8000, then `tubectl up`

    default/vllm does not scale, a link is broken: collector keda/collector and vLLM
      it scrapes pods labelled app=vlm; those of default/vllm are labelled app=vllm, so no sample arrives
      next: let release `collector` scrape pods labelled app=vllm, then `tubectl up`

    default/vllm does not scale, a link is broken: the scaler and the ScaledObject
      trigger `running` asks for vllm:num_requests_running, and no sample of that name arrives
      next: did you mean vllm_num_requests_running? Put it into the trigger's query, then `tubectl up`
    default/vllm does not scale, a link is broken: the scaler and the ScaledObject
      trigger `waiting` asks for vllm:num_requests_waiting, and no sample of that name arrives
      next: did you mean vllm_num_requests_waiting? Put it into the trigger's query, then `tubectl up`
    ");
}

#[test]
fn without_a_wrong_word_the_chain_holds_and_the_same_four_minutes_scale() {
    play(&tube::UP, &stage::find("tube"), async |stage| {
        let status = tube::status(stage).await.unwrap_or_else(|failure| panic!("{failure}"));
        assert!(status.contains("default/vllm scales"), "{status}");
        let report = show(stage, Some(4), None).await;
        assert!(report.peak().is_some_and(|(most, _)| most > 1), "{report}");
    });
}

#[test]
fn what_it_takes_and_costs_is_said_before_anything_is_made() {
    let forecast = async |stage: &Stage| {
        let session = tube::open(&stage.context, &stage.files, "plan").await;
        let look = session.look(&stage.context).await;
        Forecast::of(&session, &look.unwrap_or_else(|failure| panic!("{failure}"))).text()
    };
    let before = play(&Moment::beginning(), &stage::find("tube"), async |stage| {
        let text = forecast(stage).await;
        assert_eq!(stage.watch.mutating(), [] as [String; 0]);
        text
    });
    for part in [
        "takes about 1",
        "costs $1.09 an hour at rest and $7.19 at most; a show of 30 minutes $3.60 at most\n",
        "  1 to 10 g5.2xlarge spot for default/vllm\n",
        "  1       t4g.small on-demand for default/gateway\n",
    ] {
        assert!(before.contains(part), "{part}: {before}");
    }
    // What stands costs as much, and takes no time any more.
    let after = play(&tube::UP, &stage::find("tube"), forecast);
    assert!(before.ends_with(&after), "{before}\n{after}");
}
