//! Whatever is killed, and whenever: the next `up` goes on, and `down` leaves nothing.

use crate::stage::EACH;
use crate::stage::FAST;
use crate::stage::Home;

const UP: [&str; 6] = ["up", EACH, "--yes", "--speed", FAST, "--json"];

/// Moments of an `up`: while the network is made, while the cluster is, and while Kubernetes is filled.
const MOMENTS: [&str; 3] = [
    r#""event":"started","id":"subnet/private-a""#,
    r#""event":"started","id":"cluster/main""#,
    r#""event":"started","id":"release-begin/gateway""#,
];

#[test]
fn a_world_that_is_killed_in_the_middle_of_up_is_said_and_goes_on() {
    let home = Home::new();
    for moment in MOMENTS {
        let mut up = home.start(&UP);
        up.until(moment);
        home.kill_daemon();
        up.end().is(3, &["the local world ended in the middle", "run it again"]);
    }
    let up = home.start(&UP).end();
    up.is(0, &["the local world was not stopped", "it goes on where it was"]);
    ends_well(&home);
}

#[test]
fn an_up_that_is_killed_in_the_middle_leaves_what_the_next_one_needs() {
    let home = Home::new();
    for moment in MOMENTS {
        let mut up = home.start(&UP);
        up.until(moment);
        up.signal("KILL");
        assert_eq!(up.end().code, None);
    }
    home.start(&UP)
        .end()
        .is(0, &["`tubectl up` (process ", "ended without giving `each` back"]);
    ends_well(&home);
}

#[test]
fn a_down_that_is_killed_is_taken_up_by_the_next() {
    let home = Home::new();
    home.does(&UP);
    let mut down = home.start(&["down", EACH, "--yes", "--speed", FAST, "--json"]);
    down.until(r#""event":"removed""#);
    home.kill_daemon();
    down.end()
        .is(3, &["the local world ended in the middle", "run it again"]);
    let mut down = home.start(&["down", EACH, "--yes", "--speed", FAST, "--json"]);
    down.until(r#""event":"removed""#);
    down.signal("KILL");
    assert_eq!(down.end().code, None);
    taken_down(&home);
}

/// The stack is whole; then it is gone.
fn ends_well(home: &Home) {
    let plan = home.does(&["plan", EACH, "--exit-code"]);
    assert!(plan.data.contains("0 to create, 0 to change"), "{}", plan.all());
    taken_down(home);
}

fn taken_down(home: &Home) {
    let down = home.does(&["down", EACH, "--yes", "--speed", FAST]);
    assert!(down.data.contains("nothing is left behind"), "{}", down.all());
    assert!(home.is_empty(), "{}", home.inventory());
}
