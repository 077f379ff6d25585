//! How commands end: what was not done is said, with its exit code and the next step, and the next run does it.

use std::time::Duration;

use camino::Utf8Path;
use tubectl::apply::walk::Outcome;
use tubectl::error::Kind;
use tubectl::resource::id::ResourceId;
use tubectl::stack::load::Files;

use crate::stage;
use crate::stage::Moment;
use crate::stage::play;

/// The stack of one of each kind with these buckets.
fn with_buckets(names: &str) -> Files {
    let path = Utf8Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/laws/stacks/each/stack.yaml");
    let text = std::fs::read_to_string(path).expect("the stacks of the laws can be read");
    let changed = text.replacen("names: [questions]", &format!("names: [{names}]"), 1);
    assert!(changed.contains(names));
    Files::of(("./stack.yaml", changed.as_bytes()), None)
}

/// The stack stands with a bucket that it is about to lose.
fn with_one_too_many() -> Moment {
    play(&Moment::beginning(), &with_buckets("questions, extra"), async |stage| {
        stage.up().await.unwrap_or_else(|failure| panic!("{failure}"));
        stage.moment()
    })
}

fn with_fault(mut moment: Moment, fault: &str) -> Moment {
    moment
        .core
        .fault(fault.parse().unwrap_or_else(|error| panic!("{error}")));
    moment
}

fn extra() -> ResourceId {
    ResourceId::new("bucket", "extra")
}

#[test]
fn what_the_stack_no_longer_has_is_taken_away_and_forgotten() {
    play(&with_one_too_many(), &stage::each(), async |stage| {
        assert_eq!(stage.inventory()["s3/bucket"].len(), 2);
        stage.up().await.unwrap_or_else(|failure| panic!("{failure}"));
        assert_eq!(stage.inventory()["s3/bucket"].len(), 1);
        let journal = stage.moment().journal;
        let about = journal.lines().filter(|line| line.contains("bucket/extra"));
        let last: Vec<&str> = about.collect();
        assert_eq!(
            last.last(),
            Some(&r#"{"entry":"removed","id":"bucket/extra"}"#),
            "{last:?}"
        );
    });
}

#[test]
fn a_removal_that_fails_is_told_with_its_hint() {
    let moment = with_fault(with_one_too_many(), "s3/DeleteBucket:denied");
    play(&moment, &stage::each(), async |stage| {
        let (_, outcome) = stage.try_up().await.unwrap_or_else(|failure| panic!("{failure}"));
        let failure = stage.verdict(&outcome).expect_err("a removal was denied");
        assert_eq!(failure.kind, Kind::Partial);
        let report = failure.report();
        assert!(report.contains("`bucket/extra`: s3 DeleteBucket failed"), "{report}");
        assert!(report.contains("allow the call in the caller's IAM policy"), "{report}");
    });
}

#[test]
fn a_removal_that_is_left_is_taken_up_by_the_next_run() {
    let moment = with_fault(with_one_too_many(), "s3/DeleteBucket:throttle*1000");
    let left = play(&moment, &stage::each(), async |stage| {
        let stop = async {
            while !stage.moment().journal.contains(r#""action":"remove""#) {
                stage.wait(Duration::from_secs(1)).await;
            }
            stage.interrupt();
            stage.interrupt();
        };
        let (tried, ()) = tokio::join!(stage.try_up(), stop);
        let (_, outcome) = tried.unwrap_or_else(|failure| panic!("{failure}"));
        assert!(outcome.unstarted.contains(&extra()), "{:?}", outcome.unstarted);
        let failure = stage.verdict(&outcome).expect_err("it was stopped");
        assert_eq!(failure.kind, Kind::Interrupted);
        stage.moment()
    });
    let lifted = Moment {
        core: with_one_too_many().core,
        ..left
    };
    play(&lifted, &stage::each(), async |stage| {
        stage.up().await.unwrap_or_else(|failure| panic!("{failure}"));
        assert_eq!(stage.inventory()["s3/bucket"].len(), 1);
    });
}

#[test]
fn a_run_that_is_stopped_tells_what_failed_before() {
    play(&Moment::beginning(), &stage::each(), async |stage| {
        stage.interrupt();
        let outcome = Outcome {
            failed: [(extra(), "s3 CreateBucket failed (AccessDenied)".to_owned())].into(),
            unstarted: [ResourceId::new("queue", "jobs")].into(),
            hints: ["allow it".to_owned()].into(),
            ..Outcome::default()
        };
        let failure = stage.verdict(&outcome).expect_err("it was stopped");
        assert_eq!(failure.kind, Kind::Interrupted);
        let report = failure.report();
        for part in [
            "stopped with 1 steps left to do; 1 failed",
            "`bucket/extra`: s3 CreateBucket",
            "next: allow it",
        ] {
            assert!(report.contains(part), "{part} is missing in {report}");
        }
    });
}

#[test]
fn a_teardown_that_could_not_look_everywhere_is_not_called_left_behind() {
    let moment = with_fault(Moment::beginning(), "ec2/DescribeVolumes:denied");
    play(&moment, &stage::each(), async |stage| {
        let failure = stage.down().await.expect_err("nobody knows of volumes");
        assert_eq!(failure.kind, Kind::Partial, "{failure}");
        assert!(
            failure.report().contains("not everything could be looked for"),
            "{failure}"
        );
    });
}

#[test]
fn a_teardown_that_is_stopped_is_interrupted() {
    play(&with_one_too_many(), &stage::each(), async |stage| {
        let stop = async {
            stage.wait(Duration::from_secs(30)).await;
            stage.interrupt();
        };
        let (down, ()) = tokio::join!(stage.down(), stop);
        assert_eq!(down.expect_err("it was stopped").kind, Kind::Interrupted);
    });
}
