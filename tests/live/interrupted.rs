//! Ctrl-C: once to let what runs finish, twice to leave it.

use crate::stage::EACH;
use crate::stage::FAST;
use crate::stage::Home;

const CREATING: &str = r#""event":"started","id":"cluster/main""#;

#[test]
fn the_first_ctrl_c_drains_and_the_next_up_goes_on() {
    let home = Home::new();
    let mut up = home.start(&["up", EACH, "--yes", "--speed", FAST, "--json"]);
    up.until(CREATING);
    up.signal("INT");
    let up = up.end();
    up.is(130, &["stopped with", "it goes on where it was"]);
    assert!(
        up.data.contains(r#""event":"applied","id":"cluster/main""#),
        "{}",
        up.all()
    );
    assert!(!up.data.contains(r#""id":"node-group/base""#), "{}", up.all());
    assert!(known(&home).contains(" 0 begun and not finished"), "{}", known(&home));
    let up = home.does(&["up", EACH, "--yes", "--speed", FAST, "--json"]);
    assert!(!up.data.contains(CREATING), "{}", up.all());
    assert!(
        up.data.contains(r#""event":"applied","id":"node-group/base""#),
        "{}",
        up.all()
    );
    let mut down = home.start(&["down", EACH, "--yes", "--speed", FAST, "--json"]);
    down.until(r#""event":"removed""#);
    down.signal("INT");
    down.end().is(130, &["stopped", "run `tubectl down` again"]);
    home.does(&["down", EACH, "--yes", "--speed", FAST]);
    assert!(home.is_empty(), "{}", home.inventory());
}

#[test]
fn the_second_ctrl_c_leaves_what_runs_and_the_next_up_finds_it() {
    let home = Home::new();
    // Slow enough that the cluster is not done before the second one.
    let mut up = home.start(&["up", EACH, "--yes", "--speed", "100", "--json"]);
    up.until(CREATING);
    up.signal("INT");
    up.until("stopping: what runs is finished first");
    up.signal("INT");
    let up = up.end();
    up.is(130, &["stopped with", "it goes on where it was"]);
    assert!(
        !up.data.contains(r#""event":"applied","id":"cluster/main""#),
        "{}",
        up.all()
    );
    assert!(!known(&home).contains(" 0 begun and not finished"), "{}", known(&home));
    home.does(&["up", EACH, "--yes", "--speed", FAST]);
    home.does(&["plan", EACH, "--exit-code"]);
    home.does(&["down", EACH, "--yes", "--speed", FAST]);
    assert!(home.is_empty(), "{}", home.inventory());
}

fn known(home: &Home) -> String {
    home.does(&["state", "list"]).data
}
