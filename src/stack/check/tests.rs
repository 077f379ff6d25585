//! Each lint beside a folder that it fails and a neighbour that it passes.

use camino::Utf8Path;
use serde_json::Value;

use crate::stack::Place;
use crate::stack::check::Object;
use crate::stack::check::check;
use crate::stack::file::File;
use crate::stack::load;
use crate::stack::load::Settings;
use crate::stack::problem::Problems;

/// What the lints say about a folder: a stack, and the objects of each release.
fn report(folder: &str) -> String {
    let root = Utf8Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("src/stack/check/fixtures")
        .join(folder);
    let stack = fs_err::read(root.join("stack.yaml")).unwrap();
    let files = load::Files::of(("stack.yaml", &stack), None);
    let place = Place::nowhere("eu-west-1");
    let stack = load::load(&files, &Settings::default(), &place).unwrap_or_else(|error| panic!("{folder}: {error}"));
    let rendered = fs_err::read(root.join("rendered.yaml")).unwrap();
    let (rendered, mistakes) = File::new("rendered.yaml", &rendered).0.tree();
    assert_eq!(mistakes, [], "{folder}");
    let rendered = rendered.unwrap().to_value();
    let objects: Vec<Object<'_>> = rendered
        .as_object()
        .unwrap()
        .iter()
        .flat_map(|(release, objects)| {
            objects
                .as_array()
                .unwrap()
                .iter()
                .map(move |value| Object { release, value })
        })
        .collect();
    match Problems::of(check(&stack, &objects), &[&stack.file]) {
        Some(problems) => problems.to_string(),
        None => "nothing wrong".to_owned(),
    }
}

fn lint(name: &str) {
    insta::assert_snapshot!(name, report(&format!("{name}/fails")));
    assert_eq!(report(&format!("{name}/passes")), "nothing wrong", "{name}");
}

#[test]
fn a_formula_that_does_not_compile_is_found() {
    lint("formula");
}

#[test]
fn a_scaler_that_nothing_makes_is_found() {
    lint("scaler");
}

#[test]
fn two_autoscalers_on_one_target_are_found() {
    lint("hpa");
}

#[test]
fn a_karpenter_that_is_too_old_is_found() {
    lint("karpenter");
}

#[test]
fn a_probe_that_kills_a_loading_model_is_found() {
    lint("probe");
}

#[test]
fn the_shipped_stack_passes_without_its_objects() {
    let files = load::find(Some("tube"), Utf8Path::new("/nowhere")).unwrap();
    let stack = load::load(&files, &Settings::default(), &Place::nowhere("eu-west-1")).unwrap();
    assert_eq!(check(&stack, &[]), []);
    let settings = Settings::read(&[], &["karpenter=1.5.2".to_owned()]).unwrap();
    let stack = load::load(&files, &settings, &Place::nowhere("eu-west-1")).unwrap();
    let messages: Vec<Value> = check(&stack, &[])
        .into_iter()
        .map(|problem| problem.message.into())
        .collect();
    assert_eq!(messages, ["Karpenter 1.5.2 does not know Kubernetes 1.34"; 2]);
}
