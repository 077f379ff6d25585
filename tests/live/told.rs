//! Input that is not what it should be: said, with the next step, before anything is begun.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::process::Command;

use crate::stage::Home;
use crate::stage::Running;

#[test]
fn a_home_that_cannot_be_written_is_named() {
    let home = Home::new();
    // A file where a folder should be stops everybody, root too.
    fs::write(home.path("home"), "").unwrap();
    for command in [
        &["up", "./small", "--yes"][..],
        &["down", "./small", "--yes"],
        &["plan", "./small"],
        &["status", "./small"],
        &["world", "start"],
        &["world", "status"],
        &["world", "env"],
        &["state", "list"],
        &["check", "tube"],
        &["rehearse", "tube"],
    ] {
        home.fails(2, command, &[home.path("home").to_str().unwrap(), "TUBECTL_HOME"]);
    }
}

#[test]
fn what_is_not_utf8_is_refused_before_anything_is_begun() {
    let strange = OsStr::from_bytes(b"st\xFFck");
    let refused = |change: &dyn Fn(&mut Command), arguments: &[&str], expected: &[&str]| {
        let home = Home::new();
        let mut command = home.command(arguments);
        change(&mut command);
        let ended = Running::of(command).end();
        ended.is(2, expected);
        assert!(!home.path("home").exists(), "{}", ended.all());
    };
    for arguments in [
        &["up"][..],
        &["up", "./small", "--var"],
        &["up", "./small", "--var-file"],
        &["plan", "./small", "--region"],
        &["status", "./small", "--profile"],
        &["unlock"],
    ] {
        let with_it = |command: &mut Command| {
            command.arg(strange);
        };
        refused(&with_it, arguments, &["invalid UTF-8"]);
    }
    for variable in ["TUBECTL_HOME", "TUBECTL_ON"] {
        let with_it = |command: &mut Command| {
            command.env(variable, strange);
        };
        refused(&with_it, &["up", "./small", "--yes"], &[variable]);
    }
}

#[test]
fn files_that_are_not_utf8_are_named_with_their_line() {
    let home = Home::new();
    fs::write(home.path("vars.yaml"), b"region: eu-w\xFFst-1\n").unwrap();
    let arguments = ["plan", "tube", "--var-file", "vars.yaml"];
    home.fails(2, &arguments, &["vars.yaml:1", "UTF-8"]);
    fs::write(home.path("small/stack.yaml"), b"stack: sm\xFFll\n").unwrap();
    home.fails(2, &["up", "./small", "--yes"], &["small/stack.yaml:1", "UTF-8"]);
    assert!(!home.path("home").exists());
}
