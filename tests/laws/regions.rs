//! Two regions of one account are two places: what stands in one is no business of the other.

use tubectl::stack::load::Files;
use tubectl_world::Core;

use crate::stage;
use crate::stage::Moment;
use crate::stage::play;

/// What a script leaves, for another machine to find: the world, and no journal.
fn after(from: &Moment, files: &Files, up: &str) -> Moment {
    play(from, files, async |stage| {
        stage.up().await.unwrap_or_else(|failure| panic!("{up}: {failure}"));
        Moment {
            core: stage.world.look(Core::clone),
            journal: String::new(),
            at: stage.world.clock().now(),
        }
    })
}

#[test]
fn what_is_taken_down_in_one_region_stands_in_the_other() {
    for variant in [stage::each_in, stage::each_without_buckets_in] {
        let (here, there) = (variant("eu-west-1"), variant("us-east-1"));
        let alone = after(&Moment::beginning(), &there, "up there");
        let before = alone.core.inventory();
        assert!(
            before["iam/role"].iter().any(|role| role.ends_with("us-east-1")),
            "{before:?}"
        );
        let both = after(&alone, &here, "up here");
        let left = play(&both, &here, async |stage| {
            stage.down().await.unwrap_or_else(|failure| panic!("{failure}"));
            stage.inventory()
        });
        assert_eq!(left, before);
        play(
            &Moment {
                core: both.core,
                ..alone
            },
            &there,
            async |stage| {
                let (text, work) = stage.plan().await.unwrap_or_else(|failure| panic!("{failure}"));
                assert!(!work, "{text}");
            },
        );
    }
}
