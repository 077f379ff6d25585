//! What goes wrong on the way and is mended by running it again: disks that are full, journals that are broken.

use std::fs;

use crate::stage::FAST;
use crate::stage::Home;
use crate::stage::Running;

#[test]
fn a_disk_that_fills_up_under_the_journal_loses_nothing() {
    let home = Home::new();
    // The world has room.
    home.does(&["world", "start"]);
    let up = ["up", "./small", "--yes", "--speed", FAST];
    let full = Running::of(home.on_a_full_disk(2, &up)).end();
    full.is(3, &["journal.jsonl", "see that the disk has room", "nothing was lost"]);
    home.does(&up);
    home.does(&["plan", "./small", "--exit-code"]);
    home.does(&["down", "./small", "--yes", "--speed", FAST]);
    assert!(home.is_empty(), "{}", home.inventory());
}

#[test]
fn a_disk_that_fills_up_under_the_world_loses_nothing() {
    let home = Home::new();
    Running::of(home.on_a_full_disk(8, &["world", "start"]))
        .end()
        .is(0, &[]);
    let up = ["up", "./small", "--yes", "--speed", FAST];
    home.fails(3, &up, &["could not write down", "run it again"]);
    // Now there is room. What was told and what is there must agree, however the world ended.
    home.kill_daemon();
    home.does(&up);
    home.does(&["plan", "./small", "--exit-code"]);
    home.does(&["down", "./small", "--yes", "--speed", FAST]);
    assert!(home.is_empty(), "{}", home.inventory());
}

#[test]
fn a_journal_that_cannot_be_read_is_named_and_the_stack_is_found_without_it() {
    let check = |change: fn(&str) -> String, expected: &[&str]| {
        let home = Home::new();
        home.does(&["up", "./small", "--yes", "--speed", FAST]);
        let inventory = home.inventory();
        let journal = home.path("home/stacks/local-123456789012-eu-west-1-small/journal.jsonl");
        let changed = change(&fs::read_to_string(&journal).unwrap());
        fs::write(&journal, &changed).unwrap();
        for command in [
            &["status", "./small"][..],
            &["down", "./small", "--yes"],
            &["state", "list"],
        ] {
            home.fails(2, command, expected);
        }
        assert_eq!(fs::read_to_string(&journal).unwrap(), changed);
        // The next step that is named.
        fs::rename(&journal, home.path("aside")).unwrap();
        let plan = home.does(&["plan", "./small", "--exit-code"]);
        assert!(plan.told.contains("by its tags"), "{}", plan.all());
        assert_eq!(home.inventory(), inventory);
        home.does(&["down", "./small", "--yes", "--speed", FAST]);
        assert!(home.is_empty(), "{}", home.inventory());
    };
    check(
        |journal| journal.replacen("\"done\"", "\"dane\"", 1),
        &["journal.jsonl", "line ", "move", "by its tags"],
    );
    check(
        |journal| journal.replacen("\"format\":1", "\"format\":9", 1),
        &["journal.jsonl has format 9", "use the tubectl that wrote it"],
    );
}
