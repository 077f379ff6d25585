//! Doing it again changes nothing, and undoing it leaves nothing.

use crate::stage;
use crate::stage::Moment;
use crate::stage::play;

#[test]
fn a_second_up_makes_no_mutating_call() {
    for files in [stage::each(), stage::find("tube")] {
        play(&Moment::beginning(), &files, async |stage| {
            stage.up().await.unwrap_or_else(|failure| panic!("{failure}"));
            let first = stage.watch.mutating().len();
            stage.up().await.unwrap_or_else(|failure| panic!("{failure}"));
            assert_eq!(stage.watch.mutating()[first..], [] as [String; 0]);
        });
    }
}

#[test]
fn a_plan_after_up_is_empty() {
    for files in [stage::each(), stage::find("tube")] {
        play(&Moment::beginning(), &files, async |stage| {
            stage.up().await.unwrap_or_else(|failure| panic!("{failure}"));
            let (text, work) = stage.plan().await.unwrap_or_else(|failure| panic!("{failure}"));
            assert!(!work, "{text}");
        });
    }
}

#[test]
fn up_and_down_leave_the_account_as_it_was() {
    for files in [stage::each(), stage::find("tube")] {
        play(&Moment::beginning(), &files, async |stage| {
            let before = stage.inventory();
            stage.up().await.unwrap_or_else(|failure| panic!("{failure}"));
            assert_ne!(stage.inventory(), before);
            let report = stage.down().await.unwrap_or_else(|failure| panic!("{failure}"));
            assert!(report.proof.is_clean());
            assert_eq!(stage.inventory(), before, "{}", report.proof);
        });
    }
}
