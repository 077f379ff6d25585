//! One stack, one writer; one home, one world.

use std::fs;

use crate::stage::EACH;
use crate::stage::FAST;
use crate::stage::Home;

#[test]
fn the_stack_goes_up_stands_and_goes_down_with_proof() {
    let home = Home::new();
    home.fails(
        2,
        &["up", EACH],
        &["nobody is there to answer", "agree beforehand with --yes"],
    );
    assert!(home.is_empty(), "{}", home.inventory());
    let up = home.does(&["up", EACH, "--yes", "--speed", FAST]);
    assert!(up.data.contains("kubeconfig"), "{}", up.all());
    let inventory = home.inventory();
    let plan = home.does(&["plan", EACH, "--exit-code"]);
    assert!(plan.data.contains("0 to create, 0 to change"), "{}", plan.all());
    let status = home.does(&["status", EACH]);
    assert!(
        status.data.contains("everything is as the stack says"),
        "{}",
        status.all()
    );
    let again = home.does(&["up", EACH, "--yes", "--speed", FAST, "--json"]);
    assert!(!again.data.contains(r#""event":"started""#), "{}", again.all());
    assert_eq!(home.inventory(), inventory);
    home.fails(
        2,
        &["down", EACH],
        &["nobody is there to answer", "agree beforehand with --yes"],
    );
    assert_eq!(home.inventory(), inventory);
    let down = home.does(&["down", EACH, "--yes", "--speed", FAST]);
    for line in [
        "cluster                       0  ",
        "VPC                           0  ",
        "nothing is left behind",
    ] {
        assert!(down.data.contains(line), "`{line}` is not in\n{}", down.all());
    }
    assert!(home.is_empty(), "{}", home.inventory());
}

#[test]
fn two_homes_never_meet() {
    let (one, other) = (Home::new(), Home::new());
    one.does(&["up", "./small", "--yes", "--speed", FAST]);
    let inventory = one.inventory();
    assert!(other.is_empty(), "{}", other.inventory());
    assert_ne!(one.port(), other.port());
    // The number of a port that another home's world has now is not a way into it.
    other.kill_daemon();
    let path = other.path("home/world/daemon.json");
    let record = fs::read_to_string(&path).unwrap();
    let strange = record.replace(&other.port().to_string(), &one.port().to_string());
    fs::write(&path, strange).unwrap();
    let down = other.does(&["down", "./small", "--yes", "--speed", FAST]);
    assert!(down.told.contains("another program has the port"), "{}", down.all());
    assert_eq!(one.inventory(), inventory);
}

#[test]
fn whoever_comes_second_is_told_who_holds_the_stack_and_does_not_disturb() {
    let home = Home::new();
    let mut first = home.start(&["up", EACH, "--yes", "--speed", "300", "--json"]);
    first.until(r#""event":"started","id":"cluster/main""#);
    let holder = format!("`tubectl up` (process {} on ", first.id());
    for command in ["up", "down"] {
        let second = [command, EACH, "--yes", "--speed", "5000"];
        home.fails(2, &second, &[&holder, "holds the stack until", "tubectl unlock"]);
    }
    let unlock = home.start(&["unlock", "each"]).end();
    unlock.is(
        2,
        &["`tubectl up` holds `each` in local", &first.id().to_string(), "--yes"],
    );
    // Looking disturbs nobody, and the world's time goes on as fast as whoever holds the stack wants it to.
    home.does(&["status", EACH]);
    let speed = home.does(&["world", "status", "--json"]).data;
    assert!(speed.contains(r#""speed":300.0"#), "{speed}");
    first.end().is(0, &[]);
    let speed = home.does(&["world", "status", "--json"]).data;
    assert!(speed.contains(r#""speed":1.0"#), "{speed}");
    home.does(&["down", EACH, "--yes", "--speed", FAST]);
}

#[test]
fn a_lease_of_another_machine_is_respected_until_it_is_taken_off() {
    let home = Home::new();
    home.does(&["up", "./small", "--yes", "--speed", FAST]);
    let lease = home.path("home/stacks/local-123456789012-eu-west-1-small/lease.json");
    let held = r#"{"owner":{"host":"stage","process":7,"started":7,"command":"tubectl up"},"expires":"2099-01-01T00:00:00Z","fence":9}"#;
    fs::write(&lease, held).unwrap();
    home.fails(
        2,
        &["down", "./small", "--yes"],
        &["process 7 on stage", "tubectl unlock"],
    );
    assert_eq!(fs::read_to_string(&lease).unwrap(), held);
    let unlock = home.does(&["unlock", "small", "--yes"]);
    assert!(unlock.told.contains("the lease is off"), "{}", unlock.all());
    home.does(&["down", "./small", "--yes", "--speed", FAST]);
    assert!(home.is_empty(), "{}", home.inventory());
}
