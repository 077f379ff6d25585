//! `tubectl world`: the daemon, what outlives it, and what stands in its way.

use std::fs;
use std::net::TcpListener;
use std::thread;

use crate::stage::FAST;
use crate::stage::Home;
use crate::stage::kill;

#[test]
fn what_is_in_the_world_survives_stop_and_kill() {
    let home = Home::new();
    let none = home.does(&["world", "status"]);
    assert_eq!(none.data, "the local world does not run\n");
    home.does(&["world", "stop"]);
    let started = home.does(&["world", "start"]);
    assert!(started.data.contains("its account is empty"), "{}", started.all());
    home.does(&["up", "./small", "--yes", "--speed", FAST]);
    let (inventory, port) = (home.inventory(), home.port());
    home.does(&["world", "stop"]);
    assert_eq!(home.does(&["world", "status"]).data, "the local world does not run\n");
    home.does(&["world", "start"]);
    assert_eq!((home.inventory(), home.port()), (inventory.clone(), port));
    home.kill_daemon();
    let started = home.does(&["world", "start"]);
    assert!(
        started.told.contains("the local world was not stopped"),
        "{}",
        started.all()
    );
    assert_eq!((home.inventory(), home.port()), (inventory, port));
    home.does(&["down", "./small", "--yes", "--speed", FAST]);
    assert!(home.is_empty(), "{}", home.inventory());
}

#[test]
fn its_address_is_printed_for_other_programs() {
    let home = Home::new();
    let env = home.does(&["world", "env"]).data;
    let address = format!("export AWS_ENDPOINT_URL=http://127.0.0.1:{}\n", home.port());
    assert!(env.contains(&address), "{env}");
    for name in ["AWS_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "KUBECONFIG"] {
        assert!(env.contains(&format!("export {name}=")), "{env}");
    }
}

#[test]
fn a_port_that_is_taken_is_said_and_another_one_is_used() {
    let home = Home::new();
    home.does(&["world", "start"]);
    let port = home.port();
    home.kill_daemon();
    let stranger = TcpListener::bind(("127.0.0.1", port)).unwrap();
    // It hangs up on everybody, as long as anybody calls.
    thread::spawn(move || stranger.incoming().for_each(drop));
    let started = home.does(&["world", "start"]);
    let taken = format!("another program has port {port}");
    for part in ["the local world was not stopped", &taken, "tubectl world env"] {
        assert!(started.told.contains(part), "`{part}` is not in\n{}", started.all());
    }
    assert_ne!(home.port(), port);
    home.does(&["up", "./small", "--yes", "--speed", FAST]);
    home.does(&["down", "./small", "--yes", "--speed", FAST]);
}

#[test]
fn a_world_of_another_version_is_stopped_and_goes_on_with_this_one() {
    let home = Home::new();
    home.does(&["up", "./small", "--yes", "--speed", FAST]);
    let inventory = home.inventory();
    let first = home.record();
    let old = first.to_string().replace(env!("CARGO_PKG_VERSION"), "0.0.1");
    fs::write(home.path("home/world/daemon.json"), old).unwrap();
    let status = home.does(&["status", "./small"]);
    for part in ["run by tubectl 0.0.1", "goes on with it"] {
        assert!(status.told.contains(part), "`{part}` is not in\n{}", status.all());
    }
    assert_ne!(home.record()["pid"], first["pid"]);
    assert_eq!(home.inventory(), inventory);
}

#[test]
fn a_world_that_does_not_answer_is_named() {
    let home = Home::new();
    home.does(&["world", "start"]);
    let record = home.record();
    // Without a record, the daemon cannot be asked; it still holds the world.
    fs::write(home.path("home/world/daemon.json"), "nonsense").unwrap();
    home.fails(
        2,
        &["world", "start"],
        &["daemon.json cannot be read", "does not answer", "kill"],
    );
    kill(&record);
    home.does(&["world", "start"]);
}

#[test]
fn a_world_that_cannot_be_read_is_left_as_it_is() {
    let check = |file: &str, text: &str, expected: &[&str]| {
        let home = Home::new();
        let path = home.path("home/world");
        fs::create_dir_all(&path).unwrap();
        fs::write(path.join(file), text).unwrap();
        home.fails(2, &["up", "./small", "--yes"], expected);
        assert_eq!(fs::read_to_string(path.join(file)).unwrap(), text);
    };
    check(
        "world.json",
        r#"{"format": 99}"#,
        &["has format 99", "use the tubectl that wrote it"],
    );
    check(
        "world.json",
        "{",
        &["world.json", "damaged at line 1", "move the file aside"],
    );
    check(
        "world.log",
        "nonsense\nnonsense\n",
        &["world.log", "damaged at line 1", "move the file aside"],
    );
}
