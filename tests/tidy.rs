//! Holds the directions of dependencies: which room of `src/` may use which, and which crates of others.
//!
//! The table and the reasons are in `docs/design/002-directions.md`. It reads source lines, hence the rule that imports
//! stand one a line: a group of crate imports is a breach by itself.

use std::fs;
use std::path::Path;
use std::path::PathBuf;

/// A room and the rooms that it may use. `commands` compose, so they and `cli` may use every room above them.
const ROOMS: &[(&str, &[&str])] = &[
    ("error", &[]),
    ("event", &["resource"]),
    ("resource", &[]),
    ("stack", &["error", "graph", "resource"]),
    ("graph", &["error", "resource"]),
    ("plan", &["error", "graph", "resource"]),
    ("apply", &["error", "event", "graph", "plan", "resource", "state"]),
    ("state", &["error", "resource"]),
    ("provider", &["apply", "error", "plan", "resource"]),
    ("clients", &["error"]),
    ("image", &["clients", "error", "resource"]),
    ("release", &["error", "resource", "stack"]),
    ("teardown", &["apply", "error", "event", "provider", "resource"]),
    ("cost", &["error", "resource"]),
    (
        "show",
        &[
            "apply", "clients", "cost", "error", "event", "provider", "resource", "stack",
        ],
    ),
    ("ui", &["cost", "error", "event", "graph", "plan", "resource"]),
    (
        "commands",
        &[
            "apply", "clients", "cost", "error", "event", "graph", "image", "plan", "provider", "release", "resource",
            "show", "stack", "state", "teardown", "ui",
        ],
    ),
    ("cli", &["commands", "error", "event", "stack", "ui"]),
];

/// Crates, by the beginning of their names, and the rooms that may name them; others may not.
const CRATES: &[(&str, &[&str])] = &[
    ("aws_sdk_", &["clients", "provider"]),
    ("aws_config", &["clients", "provider"]),
    ("kube", &["clients", "provider", "show", "commands"]),
    ("k8s_openapi", &["clients", "provider", "show"]),
    ("clap", &["cli", "commands"]),
    ("serde_saphyr", &["stack"]),
    ("crossterm", &["ui"]),
    ("tubectl_world", &["clients", "commands"]),
    ("tubectl_gateway", &["commands", "provider", "show"]),
    ("tubectl_load", &["commands", "show", "stack"]),
    ("tubectl_formula", &["stack"]),
    ("tubectl_chart", &["commands", "provider", "release", "teardown"]),
    ("tubectl_yaml", &["commands", "provider", "release", "show", "teardown"]),
];

/// A crate of the workspace and those of the workspace that it may depend on.
const WORKSPACE: &[(&str, &[&str])] = &[
    ("clock", &[]),
    ("yaml", &[]),
    ("formula", &[]),
    ("chart", &["yaml"]),
    ("gateway", &["clock"]),
    ("load", &["clock"]),
    ("world", &["clock", "formula", "yaml"]),
];

#[test]
fn dependencies_between_rooms_point_down() {
    let mut breaches = Vec::new();
    for (path, text) in sources("src")
        .into_iter()
        .filter(|(path, _)| !path.ends_with("tests.rs") && path.iter().all(|folder| folder != "tests"))
    {
        let room = room_of(&path);
        let found = breaches_of(&room, &text);
        breaches.extend(found.into_iter().map(|breach| format!("{}{breach}", path.display())));
    }
    assert!(breaches.is_empty(), "\n{}", breaches.join("\n"));
}

#[test]
fn crates_of_the_workspace_depend_on_nothing_beside_them() {
    let mut breaches = Vec::new();
    for folder in fs::read_dir(root().join("crates")).unwrap() {
        let folder = folder.unwrap();
        let name = folder.file_name().into_string().unwrap();
        let manifest = fs::read_to_string(folder.path().join("Cargo.toml")).unwrap();
        let Some((_, may)) = WORKSPACE.iter().find(|(known, _)| *known == name) else {
            breaches.push(format!("crates/{name} is not in the table"));
            continue;
        };
        for used in manifest.lines().filter_map(|line| line.strip_prefix("tubectl-")) {
            let used: String = used.chars().take_while(char::is_ascii_alphanumeric).collect();
            if !may.contains(&used.as_str()) {
                breaches.push(format!("crates/{name} may not depend on crates/{used}"));
            }
        }
    }
    assert!(breaches.is_empty(), "\n{}", breaches.join("\n"));
}

#[test]
fn lints_are_expected_with_a_reason_and_never_switched_off() {
    let mut breaches = Vec::new();
    for folder in ["src", "crates", "tests"] {
        for (path, text) in sources(folder) {
            let lines = text.lines().zip(1..);
            let bare = lines.filter(|(line, _)| line.trim_start().starts_with(concat!("#[", "allow(")));
            breaches.extend(bare.map(|(_, number)| format!("{}:{number}", path.display())));
        }
    }
    assert!(
        breaches.is_empty(),
        "use #[expect(.., reason = \"..\")] in\n{}",
        breaches.join("\n")
    );
}

#[test]
fn a_forbidden_import_is_a_breach() {
    let check = |room: &str, line: &str, expected: &[&str]| {
        assert_eq!(breaches_of(room, line), expected, "{line} in {room}");
    };
    check("plan", "use crate::resource::id::ResourceId;", &[]);
    check("plan", "use crate::plan::Action;", &[]);
    check(
        "plan",
        "use crate::provider::aws::Aws;",
        &[":1: `plan` may not use `provider`"],
    );
    check(
        "apply",
        "    let kube = crate::provider::kube::Kube::new();",
        &[":1: `apply` may not use `provider`"],
    );
    check(
        "ui",
        "use crate::apply::wait::until_ready;",
        &[":1: `ui` may not use `apply`"],
    );
    check(
        "plan",
        "use crate::{graph, resource};",
        &[":1: imports stand one a line, without a group"],
    );
    check(
        "stack",
        "use aws_sdk_ec2::Client;",
        &[":1: `stack` may not use `aws_sdk_`"],
    );
    check("stack", "use kube::Client;", &[":1: `stack` may not use `kube`"]);
    check("commands", "use crate::provider::kube::Kube;", &[]);
    check(
        "apply",
        "fn go(world: tubectl_world::Core) {}",
        &[":1: `apply` may not use `tubectl_world`"],
    );
    check("apply", "mod tests {\n    use crate::provider::aws::Aws;", &[]);
    check("apply", "// use crate::provider::aws::Aws;", &[]);
    check(
        "cellar",
        "use crate::error::Failure;",
        &[": the room `cellar` is not in the table"],
    );
}

/// What a source file of a room does that the tables forbid, each with its line. Tests are not read: they may stand a room
/// on a world.
fn breaches_of(room: &str, text: &str) -> Vec<String> {
    // The files beside the rooms: the list of rooms, and the entry.
    if ["lib", "main"].contains(&room) {
        return Vec::new();
    }
    let Some((_, may)) = ROOMS.iter().find(|(known, _)| *known == room) else {
        return vec![format!(": the room `{room}` is not in the table")];
    };
    let mut breaches = Vec::new();
    let lines = text.lines().take_while(|line| *line != "mod tests {").zip(1..);
    for (line, number) in lines.filter(|(line, _)| !line.trim_start().starts_with("//")) {
        if line.contains("crate::{") {
            breaches.push(format!(":{number}: imports stand one a line, without a group"));
        }
        let used = words_after(line, "crate::");
        let used = used.filter(|word| ROOMS.iter().any(|(known, _)| known == word));
        breaches.extend(
            used.filter(|used| *used != room && !may.contains(used))
                .map(|used| format!(":{number}: `{room}` may not use `{used}`")),
        );
        let foreign = CRATES
            .iter()
            .filter(|(name, rooms)| !rooms.contains(&room) && names_crate(line, name));
        breaches.extend(foreign.map(|(name, _)| format!(":{number}: `{room}` may not use `{name}`")));
    }
    breaches
}

/// The words that follow a mark in a line.
fn words_after<'a>(line: &'a str, mark: &'a str) -> impl Iterator<Item = &'a str> {
    line.split(mark).skip(1).map(|rest| {
        rest.split(|letter: char| !is_of_word(letter))
            .next()
            .unwrap_or_default()
    })
}

/// Whether a line has a path that begins with a crate whose name begins so; all of it, unless that ends with `_`.
fn names_crate(line: &str, name: &str) -> bool {
    line.match_indices(name).any(|(at, _)| {
        let (before, after) = (&line[..at], &line[at + name.len()..]);
        let begins = !before.ends_with(|letter| is_of_word(letter) || letter == ':');
        begins && (name.ends_with('_') || after.starts_with("::"))
    })
}

fn is_of_word(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || letter == '_'
}

/// The room that a file of `src/` belongs to.
fn room_of(path: &Path) -> String {
    let first = path
        .iter()
        .nth(1)
        .expect("the path is below a folder")
        .to_string_lossy();
    first.trim_end_matches(".rs").to_owned()
}

/// Every source file below a folder of the repository, with its path from there.
fn sources(folder: &str) -> Vec<(PathBuf, String)> {
    let mut sources = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("the folder is part of the project") {
            let path = entry.expect("the folder can be listed").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).expect("sources are text");
                sources.push((
                    path.strip_prefix(root()).expect("it lies below the root").to_owned(),
                    text,
                ));
            }
        }
    }
    assert!(!sources.is_empty(), "no source below {folder}");
    sources.sort();
    sources
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
