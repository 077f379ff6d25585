//! The command line as it is typed: what the documentation shows, and every wrong way that needs no world.

use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Output;

const TUBECTL: &str = env!("CARGO_BIN_EXE_tubectl");

#[test]
fn the_documentation_says_what_happens() {
    let home = tempfile::tempdir().unwrap();
    trycmd::TestCases::new()
        .register_bin("tubectl", Path::new(TUBECTL))
        .env("TUBECTL_HOME", home.path().to_str().unwrap())
        .case("README.md")
        .case("docs/*.md")
        .case("tests/cmd/*.md")
        .run();
}

#[test]
fn every_command_is_in_the_documentation() {
    let page = fs::read_to_string(root().join("docs/cli.md")).unwrap();
    let mut missing = Vec::new();
    let mut left = vec![(String::from("tubectl"), tubectl::cli::command())];
    while let Some((name, command)) = left.pop() {
        if !page.contains(&format!("\n$ {name} --help\n")) {
            missing.push(name.clone());
        }
        let verbs = command.get_subcommands().filter(|verb| verb.get_name() != "help");
        left.extend(verbs.map(|verb| (format!("{name} {}", verb.get_name()), verb.clone())));
    }
    assert!(missing.is_empty(), "docs/cli.md does not show {missing:?}");
}

#[test]
fn a_stack_with_mistakes_fails_its_check_and_shows_each_with_its_line() {
    let place = Scene::new();
    let check = |stack: &[u8], expected: &[&str]| {
        fs::write(place.path("stack.yaml"), stack).unwrap();
        let run = place.run(&["check"]);
        place.fails(&run, 1, expected);
    };
    check(b"stack: [", &["stack.yaml:1"]);
    check(
        b"stack: tube\nregion: eu-west-1\nbloks: {}\n",
        &["stack.yaml:3:1", "bloks", "did you mean `blocks`?"],
    );
    check(b"stack: tube\nregion: [1]\nblocks: {}\n", &["stack.yaml:2"]);
    check(b"stack: t\xFFube\n", &["stack.yaml:1", "UTF-8"]);
    check(b"", &["stack.yaml"]);
    let nothing =
        b"stack: tube\nregion: eu-west-1\nvariables: {a: {default: b}}\nblocks:\n  network: {cidr: \"${var.ab}\"}\n";
    check(nothing, &["stack.yaml:5", "var.ab"]);
}

#[test]
fn what_is_typed_wrongly_is_the_users_to_fix() {
    let place = Scene::new();
    let check = |arguments: &[&str], expected: &[&str]| place.fails(&place.run(arguments), 2, expected);
    check(&["check", "tub"], &["there is no stack `tub`", "did you mean `tube`?"]);
    check(&["check", "./nowhere"], &["nowhere/stack.yaml"]);
    check(
        &["check", "tube", "--var", "regoin=x"],
        &["no variable `regoin`", "did you mean `region`?"],
    );
    check(&["check", "tube", "--var", "region"], &["`region` sets no variable"]);
    check(&["check", "tube", "--var-file", "missing.yaml"], &["missing.yaml"]);
    check(&["chek", "tube"], &["check"]);
    check(&["check", "--bogus"], &["--bogus"]);
    check(&[], &["Usage"]);
    check(&["rehearse", "tube", "--seed", "seven"], &["seven"]);
    check(&["render", "tube", "--release", "vlm"], &["did you mean `vllm`?"]);
    check(&["state", "show", "tube"], &["nothing is known of `tube`"]);
    check(&["unlock", "tube"], &["nothing is known of `tube`"]);
    check(&["schema", "stak"], &["stack"]);
    check(&["demo", "--minutes", "0"], &["--minutes", "1..=600"]);
    check(&["demo", "--minutes", "half"], &["half"]);
    check(&["demo", "--speed", "0"], &["time runs forward"]);
    check(&["cue"], &["<NAME>"]);
    check(&["winners", "--agian"], &["--again"]);
    check(&["survey", "tub"], &["there is no stack `tub`"]);
}

#[test]
fn what_is_asked_for_goes_to_stdout_and_nothing_else_does() {
    let place = Scene::new();
    for arguments in [
        ["check", "tube"],
        ["graph", "tube"],
        ["schema", "demo"],
        ["stack", "show"],
    ] {
        let run = place.run(&[&arguments[..], &["--quiet"]].concat());
        assert_eq!(run.status.code(), Some(0), "{arguments:?}: {}", text(&run.stderr));
        assert_eq!(text(&run.stderr), "", "{arguments:?}");
        assert_eq!(run.stdout.is_empty(), arguments[0] == "check", "{arguments:?}");
    }
    for arguments in [
        ["schema", "stack"],
        ["stack", "list"],
        ["stack", "show"],
        ["render", "tube"],
        ["state", "list"],
    ] {
        let run = place.run(&[&arguments[..], &["--json"]].concat());
        serde_json::from_slice::<serde_json::Value>(&run.stdout)
            .unwrap_or_else(|error| panic!("{arguments:?}: {error}"));
    }
}

#[test]
fn a_journal_of_a_newer_format_is_refused_and_a_broken_line_is_named() {
    let check = |journal: &str, expected: &[&str]| {
        let place = Scene::new();
        let path = place.journal("tube", journal);
        for arguments in [["state", "list"].as_slice(), &["state", "show", "tube"]] {
            let run = place.run(arguments);
            place.fails(&run, 2, expected);
        }
        assert_eq!(fs::read_to_string(path).unwrap(), journal, "nothing may be lost");
    };
    check(
        "{\"entry\":\"snapshot\",\"format\":9,\"state\":{}}\n",
        &["format 9", "use the tubectl that wrote it"],
    );
    check(
        "{\"entry\":\"gone\"}\nnonsense\n{\"entry\":\"gone\"}\n",
        &["line 2", "journal.jsonl", "found by its tags"],
    );
}

#[test]
fn a_journal_that_cannot_be_read_does_not_hide_the_others() {
    let place = Scene::new();
    place.journal("broken", "nonsense\nnonsense\n");
    place.journal("tube", "");
    let run = place.run(&["state", "list"]);
    place.fails(&run, 2, &["line 1", "eu-west-1-broken/journal.jsonl"]);
    let lines: Vec<_> = text(&run.stdout).lines().collect();
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(
        lines[0].starts_with("broken ") && lines[0].contains("unknown: line 1 of"),
        "{lines:?}"
    );
    assert!(
        lines[1].starts_with("tube ") && lines[1].contains(": 0 resources"),
        "{lines:?}"
    );
    let run = place.run(&["state", "list", "--json"]);
    let documents: serde_json::Value = serde_json::from_slice(&run.stdout).unwrap();
    assert_eq!(
        (&documents[0]["stack"], &documents[1]["stack"]),
        (&"broken".into(), &"tube".into())
    );
    assert!(documents[0]["error"].is_string(), "{documents}");
}

#[test]
fn a_torn_last_line_is_left_out() {
    let place = Scene::new();
    place.journal(
        "tube",
        "{\"entry\":\"intent\",\"id\":\"vpc/main\",\"action\":\"create\",\"token\":\"a\"}\n{\"entry\":\"do",
    );
    let run = place.run(&["state", "list"]);
    assert_eq!(run.status.code(), Some(0), "{}", text(&run.stderr));
    assert!(
        text(&run.stdout).contains("1 begun and not finished"),
        "{}",
        text(&run.stdout)
    );
}

#[test]
fn a_lease_is_shown_and_taken_off_only_when_agreed() {
    let place = Scene::new();
    let journal = place.journal("tube", "");
    let lease = journal.with_file_name("lease.json");
    let held = r#"{"owner":{"host":"stage","process":7,"started":7,"command":"tubectl up"},"expires":"2099-01-01T00:00:00Z","fence":3}"#;
    fs::write(&lease, held).unwrap();
    let run = place.run(&["unlock", "tube"]);
    place.fails(&run, 2, &["process 7 on stage", "--yes"]);
    assert_eq!(fs::read_to_string(&lease).unwrap(), held);
    let run = place.run(&["unlock", "tube", "--yes"]);
    assert_eq!(run.status.code(), Some(0), "{}", text(&run.stderr));
    let run = place.run(&["unlock", "tube"]);
    assert!(
        text(&run.stderr).contains("nobody holds `tube`"),
        "{}",
        text(&run.stderr)
    );
}

#[test]
fn a_demo_without_a_stage_offers_up_first_and_wants_an_answer() {
    let place = Scene::new();
    let run = place.run(&["demo", "tube"]);
    let stopped = place.run(&["world", "stop"]);
    place.fails(
        &run,
        2,
        &[
            "first the stack is brought up",
            "Bring up `tube`?",
            "agree beforehand with --yes",
        ],
    );
    assert_eq!(text(&run.stdout), "");
    assert_eq!(stopped.status.code(), Some(0), "{}", text(&stopped.stderr));
}

#[test]
fn a_home_that_cannot_be_written_is_an_error_that_names_it() {
    let place = Scene::new();
    // A file where a folder should be stops everybody, root too.
    fs::write(place.path("home"), "").unwrap();
    for command in ["rehearse", "check", "graph", "render"] {
        let run = place.run(&[command, "tube"]);
        place.fails(&run, 2, &[place.path("home").to_str().unwrap(), "TUBECTL_HOME"]);
    }
}

#[test]
fn without_any_home_the_next_step_is_named() {
    let run = Command::new(TUBECTL)
        .args(["state", "list"])
        .env_clear()
        .output()
        .unwrap();
    assert_eq!(run.status.code(), Some(2));
    assert!(text(&run.stderr).contains("set TUBECTL_HOME"), "{}", text(&run.stderr));
}

#[test]
fn a_world_that_there_is_not_is_refused() {
    let place = Scene::new();
    let run = place
        .command(&["state", "list"])
        .env("TUBECTL_ON", "moon")
        .output()
        .unwrap();
    place.fails(&run, 2, &["TUBECTL_ON is `moon`", "`local` or `aws`"]);
}

#[cfg(unix)]
#[test]
fn what_is_not_utf8_is_refused_and_does_not_panic() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    let place = Scene::new();
    let strange = OsStr::from_bytes(b"./st\xFFck");
    let run = place.command(&["check"]).arg(strange).output().unwrap();
    place.fails(&run, 2, &["UTF-8"]);
    let run = place
        .command(&["state", "list"])
        .env("TUBECTL_HOME", strange)
        .output()
        .unwrap();
    place.fails(&run, 2, &["TUBECTL_HOME", "not UTF-8"]);
}

#[test]
fn the_commands_without_a_world_write_nothing_but_their_cache() {
    let place = Scene::new();
    for arguments in [
        ["check", "tube"],
        ["graph", "tube"],
        ["render", "tube"],
        ["state", "list"],
    ] {
        place.run(&arguments);
    }
    let written: Vec<_> = fs::read_dir(place.folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(written, ["home"]);
    let kept: Vec<_> = fs::read_dir(place.path("home"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(kept, ["cache"]);
}

/// An empty folder to be in, with a home in it.
struct Scene {
    folder: tempfile::TempDir,
}

impl Scene {
    fn new() -> Self {
        Self {
            folder: tempfile::tempdir().expect("a folder for the test"),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(TUBECTL);
        command.args(arguments).current_dir(self.folder.path()).env_clear();
        command.env("TUBECTL_HOME", self.path("home"));
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().expect("the program starts")
    }

    /// Writes a journal where the home keeps that of a stack on the local world.
    fn journal(&self, stack: &str, text: &str) -> PathBuf {
        let folder = self.path(&format!("home/stacks/local-123456789012-eu-west-1-{stack}"));
        fs::create_dir_all(&folder).expect("the home can be written");
        let path = folder.join("journal.jsonl");
        fs::write(&path, text).expect("the home can be written");
        path
    }

    fn fails(&self, run: &Output, code: i32, expected: &[&str]) {
        let told = text(&run.stderr);
        assert_eq!(
            run.status.code(),
            Some(code),
            "in {}: {told}",
            self.folder.path().display()
        );
        assert!(!told.contains("panicked"), "{told}");
        for part in expected {
            assert!(told.contains(part), "`{part}` is not in\n{told}");
        }
    }
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("tubectl writes UTF-8")
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
