//! The show, played in one terminal and cued from another.

use crate::stage::Home;

/// Models are loaded and pages answer at the machine's own pace: much faster, and deadlines would pass meanwhile.
const SOON: &str = "200";

#[test]
fn a_show_brings_its_stage_up_is_cued_from_elsewhere_and_leaves_the_stack_when_it_is_stopped() {
    let home = Home::new();
    home.fails(
        2,
        &["demo"],
        &["first the stack is brought up", "nobody is there to answer", "--yes"],
    );
    let mut demo = home.start(&["demo", "--yes", "--json"]);
    demo.until("first the stack is brought up");
    demo.until(r#""event":"started","id":"vpc/main""#);
    demo.signal("INT");
    demo.end().is(130, &["stopped with", "it goes on where it was"]);
    home.does(&["up", "--yes", "--speed", SOON]);

    // Slow enough that a page which answers in a moment has answered within a moment of the world, too.
    let mut demo = home.start(&["demo", "--minutes", "10", "--speed", "10", "--json"]);
    demo.until(r#""event":"show""#);
    let holder = format!("`tubectl demo` (process {} on ", demo.id());
    home.fails(2, &["down", "--yes"], &[&holder, "holds the stack until"]);
    for cue in ["survey", "winners"] {
        let fired = home.does(&[cue]);
        assert!(fired.told.contains("the page followed"), "{}", fired.all());
    }
    demo.signal("INT");
    let demo = demo.end();
    demo.is(130, &["the show was stopped; the stack still stands", "tubectl down"]);
    assert!(demo.data.contains(r#""event":"report""#), "{}", demo.all());
    let status = home.does(&["status"]);
    assert!(
        status.data.contains("everything is as the stack says"),
        "{}",
        status.all()
    );
}
