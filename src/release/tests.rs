//! What the shipped templates render to, whole, and what is refused while rendering.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use serde_json::Value;
use serde_json::json;
use tubectl_chart::Chart;

use crate::release::expand::Installed;
use crate::release::render::Rendering;
use crate::release::render::Setting;
use crate::release::render::again;
use crate::release::render::render;
use crate::release::render::template;
use crate::resource::unknown::Outputs;
use crate::stack::Place;
use crate::stack::load;
use crate::stack::release::Release;
use crate::stack::release::Source;
use crate::stack::shipped;

fn workloads() -> (Vec<Release>, BTreeMap<String, Chart>) {
    let files = load::find(Some("tube"), camino::Utf8Path::new(".")).unwrap();
    let stack = load::load(&files, &load::Settings::default(), &Place::nowhere("eu-west-1")).unwrap();
    let is_template = |release: &Release| matches!(release.source, Source::Template { .. });
    let releases: Vec<Release> = stack.releases.into_iter().filter(is_template).collect();
    let chart = |release: &Release| match &release.source {
        Source::Template { name } => (release.name.clone(), template(name).unwrap()),
        Source::Chart { .. } => unreachable!("only templates are left"),
    };
    let charts = releases.iter().map(chart).collect();
    (releases, charts)
}

fn setting() -> Setting {
    Setting {
        kubernetes: "1.34".to_owned(),
        seed: 7,
    }
}

#[test]
fn the_shipped_templates_render_to_objects_with_a_place_and_an_owner() {
    let (releases, charts) = workloads();
    let rendered = render(&releases, &charts, &setting(), &Outputs::new()).unwrap();
    for rendering in rendered {
        assert!(!rendering.installed.objects.is_empty(), "{}", rendering.installed.name);
        for object in rendering.installed.objects {
            let annotations = &object["metadata"]["annotations"];
            assert_eq!(
                annotations["meta.helm.sh/release-name"],
                rendering.installed.name.as_str()
            );
        }
    }
}

#[test]
fn two_objects_of_one_name_stay_in_their_namespaces() {
    let manifest = "kind: Role\napiVersion: rbac.authorization.k8s.io/v1\nmetadata: {name: reader, namespace: NS}\n";
    let texts = ["a", "b"].map(|namespace| manifest.replace("NS", namespace));
    let wide = "kind: ClusterRole\napiVersion: rbac.authorization.k8s.io/v1\nmetadata: {name: reader}\n".to_owned();
    let chart = Chart::from_files([
        (
            "Chart.yaml".to_owned(),
            b"apiVersion: v2\nname: roles\nversion: 1.0.0\n".to_vec(),
        ),
        (
            "templates/roles.yaml".to_owned(),
            [&texts[..], &[wide]].concat().join("---\n").into_bytes(),
        ),
    ]);
    let mut release = workloads().0.remove(0);
    "roles".clone_into(&mut release.name);
    release.values = json!({});
    let charts = BTreeMap::from([("roles".to_owned(), chart.unwrap())]);
    let releases = [release];
    let planned = render(&releases, &charts, &setting(), &Outputs::new())
        .unwrap()
        .remove(0);
    let played = again(
        &releases[0],
        &charts["roles"],
        &setting(),
        &Outputs::new(),
        &planned.installed,
    )
    .unwrap();
    assert_eq!(played.installed, planned.installed);
    let places = planned
        .installed
        .objects
        .iter()
        .map(|object| object["metadata"]["namespace"].as_str());
    assert_eq!(places.collect::<Vec<_>>(), [None, Some("a"), Some("b")]);
}

#[test]
fn values_that_nobody_gave_are_refused() {
    let (releases, charts) = workloads();
    let planned = render(&releases, &charts, &setting(), &Outputs::new()).unwrap();
    let messages: BTreeSet<String> = releases
        .iter()
        .zip(&planned)
        .filter_map(|(release, planned)| {
            again(
                release,
                &charts[&release.name],
                &setting(),
                &Outputs::new(),
                &planned.installed,
            )
            .err()
        })
        .map(|error| error.to_string())
        .collect();
    insta::assert_snapshot!(messages.into_iter().collect::<Vec<_>>().join("\n"));
}

#[test]
fn rendering_twice_gives_the_same() {
    let (releases, charts) = workloads();
    let first = render(&releases, &charts, &setting(), &Outputs::new()).unwrap();
    let second = render(&releases, &charts, &setting(), &Outputs::new()).unwrap();
    let installed = |rendered: Vec<Rendering>| -> Vec<Installed> {
        rendered.into_iter().map(|rendering| rendering.installed).collect()
    };
    assert_eq!(installed(first), installed(second));
}

/// The objects of one workload of tube as YAML, with some of its values put differently.
fn shown(name: &str, other: &Value) -> String {
    let (releases, charts) = workloads();
    let mut release = releases.into_iter().find(|release| release.name == name).unwrap();
    merge(&mut release.values, other.clone());
    let rendered = render(&[release], &charts, &setting(), &Outputs::new()).unwrap();
    let objects = rendered.into_iter().flat_map(|rendering| rendering.installed.objects);
    let documents: Vec<String> = objects.map(|object| tubectl_yaml::emit(&object.into())).collect();
    documents.join("---\n")
}

fn merge(values: &mut Value, other: Value) {
    match (values, other) {
        (Value::Object(values), Value::Object(other)) => {
            for (key, value) in other {
                merge(values.entry(key).or_insert(Value::Null), value);
            }
        }
        (values, other) => *values = other,
    }
}

#[test]
fn every_template_renders_to_what_is_written_down() {
    for name in ["capacity", "collector", "gateway", "ingress", "scaling", "vllm"] {
        insta::assert_snapshot!(name, shown(name, &json!({})));
    }
}

/// The lines that differ from what a workload renders to otherwise: `-` before, `+` after.
fn difference(name: &str, other: &Value) -> String {
    let (before, after) = (shown(name, &json!({})), shown(name, other));
    let gone = before.lines().filter(|line| !after.lines().any(|other| other == *line));
    let new = after.lines().filter(|line| !before.lines().any(|other| other == *line));
    let lines = gone
        .map(|line| format!("-{line}"))
        .chain(new.map(|line| format!("+{line}")));
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn what_a_value_changes_is_changed_and_nothing_else() {
    let cases = [
        ("ingress", json!({"scheme": "internal"})),
        ("scaling", json!({"pausedReplicas": 0})),
        ("scaling", json!({"triggerType": "external"})),
        ("gateway", json!({"buckets": {"questions": "", "responses": ""}})),
        ("capacity", json!({"soci": false, "gpuDisk": {"snapshotID": "snap-1"}})),
    ];
    let shown = cases.map(|(name, other)| format!("{name} with {other}\n{}\n", difference(name, &other)));
    insta::assert_snapshot!(shown.join("\n"));
}

#[test]
fn no_template_names_an_account_or_a_registry_of_one() {
    for name in ["capacity", "collector", "gateway", "ingress", "scaling", "vllm"] {
        for (path, bytes) in shipped::template(name) {
            let text = String::from_utf8_lossy(bytes);
            assert!(!text.contains("dkr.ecr"), "{name}/{path}");
            let digits: Vec<&str> = text.split(|character: char| !character.is_ascii_digit()).collect();
            assert!(digits.iter().all(|digits| digits.len() != 12), "{name}/{path}");
        }
    }
}
