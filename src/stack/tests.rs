//! Whole stacks: the shipped one, and every way to write one wrongly.

use std::fmt::Write as _;

use crate::graph::Graph;
use crate::stack::Place;
use crate::stack::Stack;
use crate::stack::load;
use crate::stack::load::Settings;

fn place() -> Place {
    Place {
        account: "123456789012".to_owned(),
        region: "eu-west-1".to_owned(),
        instance: "k3x9p2qa".to_owned(),
        zones: ["a", "b", "c"].map(|letter| format!("eu-west-1{letter}")).to_vec(),
        caller_arn: "arn:aws:sts::123456789012:assumed-role/Presenter/me".to_owned(),
    }
}

fn tube() -> Stack {
    let files = load::find(Some("tube"), camino::Utf8Path::new("/nowhere")).unwrap();
    load::load(&files, &Settings::default(), &place()).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn tube_expands_into_these_resources_in_this_order() {
    let tube = tube();
    let graph = Graph::new(&tube.resources).unwrap();
    let mut text = String::new();
    for id in graph.order() {
        let resource = tube.resources.iter().find(|resource| resource.id == *id).unwrap();
        let needs: Vec<&str> = graph.dependencies(id).map(|need| need.as_str()).collect();
        writeln!(text, "{id} = {} <- {}", resource.name, needs.join(" ")).unwrap();
    }
    insta::assert_snapshot!(text);
}

#[test]
fn every_chart_and_workload_of_tube_waits_for_what_it_needs() {
    let mut text = String::new();
    for release in tube().releases {
        let needs: Vec<&str> = release.needs.iter().map(|need| need.as_str()).collect();
        writeln!(
            text,
            "{}/{} {:?}\n  {}",
            release.namespace, release.name, release.source, release.values
        )
        .unwrap();
        writeln!(text, "  <- {}", needs.join(" ")).unwrap();
    }
    insta::assert_snapshot!(text);
}
