//! A rehearsal is the commands themselves.

use tubectl_world::Core;

use crate::stage;
use crate::stage::Moment;
use crate::stage::Stage;
use crate::stage::play;

/// The calls so far that may have changed something in the account, and how each ended.
fn calls(stage: &Stage) -> Vec<String> {
    let told = |core: &Core| {
        let mutations = core.mutations().iter();
        mutations
            .map(|call| format!("{} {}/{} {:?}", call.region, call.service, call.operation, call.refused))
            .collect()
    };
    stage.world.look(told)
}

#[test]
fn a_rehearsal_makes_the_calls_of_up_and_down() {
    let files = stage::each();
    let rehearsed = play(&Moment::beginning(), &files, async |stage| {
        stage.rehearse().await.unwrap_or_else(|failure| panic!("{failure}"));
        calls(stage)
    });
    let commanded = play(&Moment::beginning(), &files, async |stage| {
        stage.up().await.unwrap_or_else(|failure| panic!("{failure}"));
        stage.down().await.unwrap_or_else(|failure| panic!("{failure}"));
        calls(stage)
    });
    assert!(rehearsed.len() > 100);
    assert_eq!(rehearsed, commanded);
}
