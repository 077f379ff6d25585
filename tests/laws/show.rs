//! A show on a stack that stands: who fires its cues, how it is stopped, and what it leaves.

use std::sync::OnceLock;
use std::time::Duration;

use tubectl::commands::demo;
use tubectl::commands::demo::Afterwards;
use tubectl::commands::demo::Audience;
use tubectl::commands::demo::Options;
use tubectl::error::Kind;
use tubectl::event::EventKind;
use tubectl::show::director::Cues;
use tubectl::show::director::Ending;
use tubectl::show::director::Winners;
use tubectl::show::report::Report;

use crate::stage;
use crate::stage::Moment;
use crate::stage::Stage;
use crate::stage::play;

/// The tube stack as `up` leaves it.
fn tube() -> &'static Moment {
    static TUBE: OnceLock<Moment> = OnceLock::new();
    TUBE.get_or_init(|| {
        play(&Moment::beginning(), &stage::find("tube"), async |stage| {
            stage.up().await.unwrap_or_else(|failure| panic!("{failure}"));
            stage.moment()
        })
    })
}

fn on_tube<T: Send>(script: impl AsyncFnOnce(&Stage) -> T + Send) -> T {
    play(tube(), &stage::find("tube"), script)
}

fn options(minutes: u32, cues: Cues) -> Options {
    Options {
        minutes: Some(minutes),
        cues,
        audience: Audience::Real,
        afterwards: Afterwards::End,
        seed: 7,
        doors: std::collections::BTreeMap::new(),
    }
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn cued(report: &Report) -> Vec<&str> {
    let rows = report.timeline.iter().flat_map(|row| row.cue.split(", "));
    rows.filter(|cue| cue.starts_with("cue ")).collect()
}

#[test]
fn cues_of_another_terminal_flip_the_page_and_are_seen_by_the_show() {
    on_tube(async |stage| {
        let others = async {
            // A show of three minutes has its survey at 2:30.
            stage.clock().sleep(seconds(60)).await;
            let begun = stage.clock().now();
            stage.cue("survey", Winners::Keep).await.unwrap();
            assert!(stage.clock().since(begun) < seconds(5), "the page took too long");
            assert_eq!(stage.page().await.mode, "survey");
            stage.clock().sleep(seconds(30)).await;
            stage.cue("winners", Winners::Keep).await.unwrap();
            assert!(stage.page().await.winners_picked);
        };
        let (report, ()) = tokio::join!(stage.show(options(3, Cues::Auto)), others);
        let report = report.unwrap();
        assert_eq!(report.ending, Ending::Complete);
        // What was fired by hand is not fired again at its time.
        assert_eq!(cued(&report), ["cue survey", "cue winners", "cue close"]);
        let fired = report
            .timeline
            .iter()
            .find(|row| row.cue.contains("cue survey"))
            .unwrap();
        assert!(
            (60..70).contains(&fired.sample.elapsed.as_secs()),
            "{:?}",
            fired.sample.elapsed
        );
        // Replicas that the show asked for may still be on their way; what the stack declares is as it was.
        let (text, _) = stage.plan().await.unwrap();
        assert!(text.contains("0 to create, 0 to change"), "{text}");
        assert!(text.contains("0 to remove"), "{text}");
    });
}

#[test]
fn without_auto_cues_are_told_and_left_to_the_presenter() {
    on_tube(async |stage| {
        let report = stage.show(options(2, Cues::ByHand)).await.unwrap();
        assert_eq!(cued(&report), [] as [&str; 0]);
        assert_eq!(stage.page().await.mode, "quiz");
        let told: Vec<String> = stage
            .heard()
            .into_iter()
            .filter_map(|kind| match kind {
                EventKind::Note { text } => Some(text),
                _ => None,
            })
            .collect();
        assert_eq!(
            told,
            [
                "One minute to the survey: land the thought you are on",
                "survey is due: tubectl survey",
                "One minute to the winners: have the prizes at hand",
                "winners is due: tubectl winners",
                "Half a minute left: thank the audience",
                "close is due: tubectl cue close",
            ]
        );
    });
}

#[test]
fn winners_stay_until_others_are_drawn() {
    on_tube(async |stage| {
        let played = Options {
            audience: Audience::Played,
            ..options(4, Cues::Auto)
        };
        let report = stage.show(played).await.unwrap();
        assert!(report.audience.unwrap().votes > 2);
        let first = stage.cue("winners", Winners::Keep).await.unwrap();
        assert_eq!(stage.cue("winners", Winners::Keep).await.unwrap().did, first.did);
        let again = stage.cue("winners", Winners::DrawAgain).await.unwrap();
        assert_ne!(again.did, first.did);
    });
}

#[test]
fn a_show_that_is_stopped_ends_its_load_and_leaves_the_stack() {
    on_tube(async |stage| {
        let before = stage.inventory();
        let stop = async {
            stage.clock().sleep(seconds(60)).await;
            stage.escalate();
        };
        let begun = stage.clock().now();
        let (report, ()) = tokio::join!(stage.show(options(5, Cues::Auto)), stop);
        let report = report.unwrap();
        assert_eq!(report.ending, Ending::Stopped);
        assert!(stage.clock().since(begun) < seconds(100), "stopping took too long");
        assert!(report.counts.sent > 0 && report.counts.agree(), "{}", report.counts);
        let failure = demo::verdict(&report).unwrap_err();
        assert_eq!(failure.kind, Kind::Interrupted);
        let after = stage.inventory();
        for (kind, ids) in before {
            assert!(
                ids.iter().all(|id| after[&kind].contains(id)),
                "{kind}: {ids:?} became {:?}",
                after[&kind]
            );
        }
        let sent = stage.watch.sent();
        stage.clock().sleep(seconds(300)).await;
        assert_eq!(stage.watch.sent(), sent, "something still sends");
    });
}

#[test]
fn whoever_stops_twice_waits_for_nothing() {
    on_tube(async |stage| {
        let stop = async {
            stage.clock().sleep(seconds(60)).await;
            stage.escalate();
            stage.escalate();
        };
        let begun = stage.clock().now();
        let (report, ()) = tokio::join!(stage.show(options(5, Cues::Auto)), stop);
        assert_eq!(report.unwrap_err().kind, Kind::Interrupted);
        assert_eq!(stage.clock().since(begun).as_secs(), 60);
        let sent = stage.watch.sent();
        stage.clock().sleep(seconds(300)).await;
        assert_eq!(stage.watch.sent(), sent, "something still sends");
    });
}

#[test]
fn a_second_show_counts_its_own_requests() {
    on_tube(async |stage| {
        for _ in 0..2 {
            let report = stage.show(options(1, Cues::Auto)).await.unwrap();
            assert!(report.counts.sent > 0 && report.counts.agree(), "{}", report.counts);
        }
    });
}

#[test]
fn a_cue_that_there_is_not_names_the_closest() {
    on_tube(async |stage| {
        let failure = stage.cue("survay", Winners::Keep).await.unwrap_err();
        assert_eq!(failure.kind, Kind::Yours);
        assert_eq!(failure.hints, ["did you mean `survey`?"]);
    });
}

#[test]
fn a_show_without_a_stack_says_what_comes_first() {
    play(&Moment::beginning(), &stage::find("tube"), async |stage| {
        let failure = stage.show(options(1, Cues::Auto)).await.unwrap_err();
        assert_eq!(failure.kind, Kind::Yours);
        assert!(failure.report().contains("`tubectl up`"), "{failure}");
    });
}

#[test]
fn the_page_answers_from_the_first_moment_of_a_world_that_goes_on() {
    // Nobody has let time pass in it: a request may come before anything else.
    let host = on_tube(async |stage| stage.stage().await.page.address.clone());
    play(tube(), &stage::find("tube"), async |stage| {
        let request = http::Request::get(format!("{host}/api/config")).body(bytes::Bytes::new());
        let response = stage.world.connector().send(request.unwrap()).await.unwrap();
        assert_eq!(response.status(), 200);
    });
}

#[test]
fn the_page_follows_a_cue_the_moment_it_is_written() {
    on_tube(async |stage| {
        let place = stage.stage().await;
        place.begin().await.unwrap();
        for (pause, cue) in [(3100, "survey"), (4300, "close"), (5700, "survey"), (2900, "close")] {
            stage.clock().sleep(Duration::from_millis(pause)).await;
            let begun = stage.clock().now();
            place.fire(cue, Winners::Keep).await.unwrap();
            // The page is asked at once, and again half a second later; a gateway that polls would need longer.
            let took = stage.clock().since(begun);
            assert!(took <= Duration::from_millis(500), "{cue} took {took:?}");
        }
    });
}

#[test]
fn an_answers_time_is_the_worlds_at_any_pace() {
    on_tube(async |stage| {
        for speed in [60.0, 1.0] {
            stage.world.set_speed(speed);
            let place = stage.stage().await;
            place.begin().await.unwrap();
            let question = serde_json::json!({"question": "Who drew the map?"});
            let answer = place.page.post("/api/question/submit", &question).await.unwrap();
            let took = answer.body["responseTimeMs"].as_u64().unwrap_or_default();
            assert!((500..10_000).contains(&took), "at speed {speed}: {}", answer.body);
        }
    });
}
