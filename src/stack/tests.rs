//! Whole stacks: the shipped one, and every way to write one wrongly.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::graph::Graph;
use crate::resource::id::ResourceId;
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
        let needs: Vec<&str> = graph.dependencies(id).map(ResourceId::as_str).collect();
        writeln!(text, "{id} = {} <- {}", resource.name, needs.join(" ")).unwrap();
    }
    insta::assert_snapshot!(text);
}

#[test]
fn every_chart_and_workload_of_tube_waits_for_what_it_needs() {
    let mut text = String::new();
    for release in tube().releases {
        let needs: Vec<&str> = release.needs.iter().map(ResourceId::as_str).collect();
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

/// A stack with nothing wrong, to make mistakes in.
const SOUND: &str = "\
stack: mini
region: \"${var.region}\"
variables:
  region: {default: eu-west-1}
  zones: {default: \"2\"}
blocks:
  network: {cidr: 10.0.0.0/16, zones: \"${var.zones}\"}
  key: {delete_after_days: 7}
  logs: {types: [api]}
  cluster:
    version: \"1.34\"
    nodes: {types: [m5.large], count: 2}
  access: {admins: [caller]}
  registry: {repositories: [gateway]}
  images:
    gateway: {entrypoint: [tubectl], platforms: [linux/amd64]}
  buckets: {names: [questions], used_by: default/gateway}
charts:
  keda:
    chart: keda
    repository: https://kedify.github.io/charts
    version: v2.20.1-6
    namespace: keda
workloads:
  gateway:
    template: gateway
    namespace: default
    needs: [charts.keda]
    values: {image: \"${images.gateway}\", buckets: {questions: \"${buckets.questions}\"}}
";

/// What is said about the sound stack after a few replacements.
fn report(replacements: &[(&str, &str)]) -> String {
    let mut text = SOUND.to_owned();
    for (from, to) in replacements {
        assert!(text.contains(from), "`{from}` is not in the sound stack");
        text = text.replace(from, to);
    }
    report_on(text.as_bytes(), None)
}

fn report_on(stack: &[u8], demo: Option<&[u8]>) -> String {
    let files = load::Files::of(("stack.yaml", stack), demo.map(|demo| ("demo.yaml", demo)));
    match load::load(&files, &Settings::default(), &place()) {
        Ok(stack) => format!(
            "nothing wrong: {} resources, {} releases",
            stack.resources.len(),
            stack.releases.len()
        ),
        Err(error) => crate::error::Failure::yours(error).report(),
    }
}

#[test]
fn a_sound_stack_is_loaded() {
    insta::assert_snapshot!(report(&[]), @"nothing wrong: 25 resources, 2 releases");
}

#[test]
fn an_unknown_key_is_shown_with_the_closest_one() {
    insta::assert_snapshot!(report(&[
        ("delete_after_days", "delete_after_day"),
        ("types: [m5", "kinds: [m5")
    ]));
}

#[test]
fn a_value_of_the_wrong_type_is_shown_with_what_it_should_be() {
    insta::assert_snapshot!(report(&[
        ("\"1.34\"", "1.34"),
        ("count: 2", "count: two"),
        ("types: [m5.large]", "types: m5.large"),
        ("types: [api]", "types: [apis, 7]"),
        ("used_by: default/gateway", "used_by: gateway"),
        ("10.0.0.0/16", "10.0.7.0/16"),
    ]));
}

#[test]
fn a_missing_field_is_shown_where_it_is_missing() {
    insta::assert_snapshot!(report(&[("version: \"1.34\"\n", "\n"), ("\n    namespace: keda", "")]));
}

#[test]
fn a_key_that_stands_twice_is_shown_at_its_second_place() {
    insta::assert_snapshot!(report(&[(
        "  key: {",
        "  network: {cidr: 10.1.0.0/16, zones: 2}\n  key: {"
    )]));
}

#[test]
fn references_to_nothing_are_shown_with_the_closest_name() {
    insta::assert_snapshot!(report(&[
        ("${var.region}", "${var.regoin}"),
        ("${images.gateway}", "${image.gateway}"),
        ("${buckets.questions}", "${buckets.answers} and ${vpc}"),
        ("charts.keda", "charts.kedas"),
        ("default: \"2\"", "default: \"2\", about: \"${var.region}\""),
        ("m5.large", "\"${cluster.name}\""),
        ("v2.20.1-6", "${var.region"),
    ]));
}

#[test]
fn what_would_fail_in_aws_is_refused_here() {
    let check = |from: &str, to: &str, expected: &str| {
        let told = report(&[(from, to)]);
        assert!(told.contains(expected), "{told}");
    };
    let small = "a network of /20 cannot be cut into subnets";
    check("cidr: 10.0.0.0/16", "cidr: 10.0.0.0/20", small);
    let old = "  load_balancer: {version: \"2.8.0\", service_account: kube-system/controller}\n  registry:";
    check("  registry:", old, "no policy is known for version `2.8.0`");
}

#[test]
fn whoever_is_named_twice_is_let_in_once() {
    let admins = "[caller, \"arn:aws:iam::123456789012:role/Presenter\", \"arn:aws:iam::210987654321:role/Presenter\", \
                  \"arn:aws:iam::333333333333:role/team/Presenter\"]";
    let text = SOUND.replace("admins: [caller]", &format!("admins: {admins}"));
    let files = load::Files::of(("stack.yaml", text.as_bytes()), None);
    let stack = load::load(&files, &Settings::default(), &place()).unwrap();
    let entries = stack.resources.iter().map(|found| found.id.as_str());
    let entries: Vec<&str> = entries.filter(|id| id.starts_with("access-entry/")).collect();
    assert_eq!(
        entries,
        [
            "access-entry/caller",
            "access-entry/Presenter",
            "access-entry/Presenter-3"
        ]
    );
}

#[test]
fn a_region_that_is_asked_for_sets_the_variable_or_is_refused() {
    let files = |text: &str| load::Files::of(("stack.yaml", text.as_bytes()), None);
    let of = |text: &str, settings: Settings| {
        let settings = load::in_region(&files(text), settings, "us-east-1");
        settings.map(|settings| load::region(&files(text), &settings).unwrap())
    };
    let variable = "stack: a\nregion: \"${var.region}\"\nvariables:\n  region: {default: eu-west-1}\nblocks: {}\n";
    assert_eq!(of(variable, Settings::default()).unwrap(), "us-east-1");
    let set = Settings {
        variables: BTreeMap::from([("region".to_owned(), "eu-north-1".to_owned())]),
    };
    let refused = of(variable, set).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "the stack's region is `eu-north-1`, and `us-east-1` is asked for"
    );
    let literal = "stack: a\nregion: eu-west-1\nblocks: {}\n";
    assert!(of(literal, Settings::default()).is_err());
}

#[test]
fn what_does_not_fit_together_is_shown() {
    insta::assert_snapshot!(report(&[
        ("stack: mini", "stack: Mini"),
        ("delete_after_days: 7", "delete_after_days: 3"),
        ("zones: \"${var.zones}\"", "zones: 4"),
        ("repositories: [gateway]", "repositories: [api]"),
        ("template: gateway", "template: gatway"),
        ("  keda:\n", "  gateway:\n"),
        ("needs: [charts.keda]", ""),
        ("    repository: https://kedify.github.io/charts\n", ""),
    ]));
}

#[test]
fn a_block_without_what_it_stands_on_is_shown() {
    insta::assert_snapshot!(report(&[
        ("  network: {cidr: 10.0.0.0/16, zones: \"${var.zones}\"}\n", ""),
        ("  registry: {repositories: [gateway]}\n", ""),
    ]));
}

#[test]
fn what_waits_for_itself_is_shown() {
    insta::assert_snapshot!(report(&[(
        "    namespace: keda\n",
        "    namespace: keda\n    needs: [workloads.gateway]\n"
    )]));
}

#[test]
fn broken_yaml_is_shown_where_it_breaks() {
    let broken = [
        "stack: [a\nregion: b\n",
        "stack: a\n\tregion: b\n",
        "stack: a: b\n",
        "",
        "- a\n",
        "{",
        "stack: *a\n",
    ];
    let reports: Vec<String> = broken.iter().map(|text| report_on(text.as_bytes(), None)).collect();
    insta::assert_snapshot!(reports.join("\n----\n"));
}

#[test]
fn what_is_not_utf8_is_shown_where_it_begins() {
    insta::assert_snapshot!(report_on(
        b"stack: mini\nabout: caf\xe9\nregion: eu-west-1\nblocks: {}\n",
        None
    ));
}

#[test]
fn mistakes_of_the_show_are_shown_with_those_of_the_stack() {
    let demo = String::from_utf8(crate::stack::shipped::stack_file("tube", "demo.yaml").unwrap().to_vec()).unwrap();
    let demo = demo
        .replace("minutes: 30", "minutes: 31")
        .replace("from: 25m, to: 28m", "from: 26m, to: 25")
        .replace("cue: survey", "cue: surveys")
        .replace("draw: 2", "drawn: 2")
        .replace("share: 0.6", "share: 6")
        .replace("ratings: [1, 2, 7, 40, 50]", "ratings: [1, 2]")
        .replace("mode: closed", "mode: close")
        .replace("p95<20s", "p95 20s");
    let stack = SOUND.replace("count: 2", "count: -2");
    let mut reports = vec![report_on(stack.as_bytes(), Some(demo.as_bytes()))];
    let timing = String::from_utf8(crate::stack::shipped::stack_file("tube", "demo.yaml").unwrap().to_vec()).unwrap();
    let timing = timing
        .replace("minutes: 30", "minutes: 31")
        .replace("from: 25m, to: 28m", "from: 26m, to: 25m")
        .replace("cue: survey", "cue: surveys")
        .replace("ratings: [1, 2, 7, 40, 50]", "ratings: [1, 2]")
        .replace("at: 30m, mode: closed", "at: 32m")
        .replace("poll: 5s", "poll: 0s");
    let bounds = String::from_utf8(crate::stack::shipped::stack_file("tube", "demo.yaml").unwrap().to_vec()).unwrap();
    let bounds = bounds
        .replace("phones: 120", "phones: 4000000000")
        .replace("users: 5", "users: 100001")
        .replace("amplification: 50", "amplification: 0");
    let without = "  stages: []\n  amplification: 50\n";
    let begins = timing.find("  stages:").unwrap();
    let ends = timing.find("  amplification").unwrap();
    let empty = [&timing[..begins], without, timing[ends..].split_once('\n').unwrap().1].concat();
    for show in [timing, bounds, empty] {
        reports.push(report_on(SOUND.as_bytes(), Some(show.as_bytes())));
    }
    insta::assert_snapshot!(reports.join("\n----\n"));
}

/// The shipped stack with other settings.
fn tube_with(settings: &[&str]) -> Result<Stack, String> {
    let files = load::find(None, camino::Utf8Path::new("/nowhere")).unwrap();
    let texts: Vec<String> = settings.iter().map(|text| (*text).to_owned()).collect();
    let said = |error| crate::error::Failure::yours(error).report();
    let settings = Settings::read(&[], &texts).map_err(said)?;
    load::load(&files, &settings, &place()).map_err(said)
}

fn fields<'a>(stack: &'a Stack, kind: &str, field: &str) -> Vec<(&'a str, &'a serde_json::Value)> {
    let of_kind = stack.resources.iter().filter(|resource| resource.kind.name() == kind);
    of_kind
        .map(|resource| (resource.id.as_str(), &resource.spec[field]))
        .collect()
}

#[test]
fn the_network_is_cut_into_the_promised_subnets() {
    let tube = tube();
    let cidrs: Vec<String> = fields(&tube, "subnet", "cidr")
        .iter()
        .map(|(id, cidr)| format!("{id} {}", cidr.as_str().unwrap()))
        .collect();
    assert_eq!(
        cidrs,
        [
            "subnet/private-a 10.0.0.0/20",
            "subnet/public-a 10.0.48.0/24",
            "subnet/private-b 10.0.16.0/20",
            "subnet/public-b 10.0.49.0/24",
            "subnet/private-c 10.0.32.0/20",
            "subnet/public-c 10.0.50.0/24",
        ]
    );
}

#[test]
fn subnets_carry_the_tags_by_which_they_are_found() {
    let tube = tube();
    let tags = fields(&tube, "subnet", "tags");
    let private = serde_json::json!({
        "kubernetes.io/cluster/tube": "shared",
        "kubernetes.io/role/internal-elb": "1",
        "karpenter.sh/discovery": "tube",
    });
    let public = serde_json::json!({"kubernetes.io/cluster/tube": "shared", "kubernetes.io/role/elb": "1"});
    for (id, tags) in tags {
        assert_eq!(
            *tags,
            if id.contains("private") {
                private.clone()
            } else {
                public.clone()
            },
            "{id}"
        );
    }
}

#[test]
fn a_gateway_for_each_zone_has_a_table_for_each_zone() {
    let stack = SOUND.replace("zones: \"${var.zones}\"", "zones: 2, nat: zone");
    let files = load::Files::of(("stack.yaml", stack.as_bytes()), None);
    let stack = load::load(&files, &Settings::default(), &place()).unwrap();
    let routes: Vec<String> = fields(&stack, "route-table", "routes")
        .iter()
        .map(|(id, to)| format!("{id} {to}"))
        .collect();
    assert_eq!(
        routes,
        [
            r#"route-table/public {"0.0.0.0/0":"unknown(internet-gateway/main#id)"}"#,
            r#"route-table/private-a {"0.0.0.0/0":"unknown(nat-gateway/a#id)"}"#,
            r#"route-table/private-b {"0.0.0.0/0":"unknown(nat-gateway/b#id)"}"#,
        ]
    );
}

#[test]
fn every_policy_and_every_specification_is_as_written_down() {
    let mut specs: std::collections::BTreeMap<String, serde_json::Value> = std::collections::BTreeMap::new();
    for resource in tube().resources {
        specs.insert(resource.id.as_str().to_owned(), resource.spec);
    }
    insta::assert_snapshot!(serde_json::to_string_pretty(&specs).unwrap());
}

#[test]
fn no_policy_is_longer_than_iam_takes() {
    for (id, document) in fields(&tube(), "policy", "document") {
        assert!(
            document.to_string().len() <= 6144,
            "{id} has {} characters",
            document.to_string().len()
        );
    }
}

#[test]
fn names_that_are_too_long_keep_their_beginning_and_get_a_hash() {
    let long = "a-name-that-somebody-thought-of-on-a-long-evening-in-winter";
    let stack = SOUND.replace("stack: mini", &format!("stack: {long}"));
    let files = load::Files::of(("stack.yaml", stack.as_bytes()), None);
    let stack = load::load(&files, &Settings::default(), &place()).unwrap();
    let names = |kind: &str| -> Vec<(String, usize)> {
        let of_kind = stack.resources.iter().filter(|resource| resource.kind.name() == kind);
        of_kind
            .map(|resource| (resource.name.clone(), resource.name.len()))
            .collect()
    };
    insta::assert_debug_snapshot!([names("role"), names("bucket")]);
}

#[test]
fn another_region_shares_no_name_of_iam() {
    let files = load::find(Some("tube"), camino::Utf8Path::new("/nowhere")).unwrap();
    let elsewhere = Place {
        region: "us-east-1".to_owned(),
        ..place()
    };
    let elsewhere = load::load(&files, &Settings::default(), &elsewhere).unwrap();
    let roles = |stack: &Stack| -> std::collections::BTreeSet<String> {
        let of_iam = stack
            .resources
            .iter()
            .filter(|resource| ["role", "policy"].contains(&resource.kind.name()));
        of_iam.map(|resource| resource.name.clone()).collect()
    };
    assert!(roles(&tube()).is_disjoint(&roles(&elsewhere)));
}

#[test]
fn a_variable_that_is_set_takes_the_place_of_its_default() {
    let stack = tube_with(&["region=us-east-1", "model=mine/model"]).unwrap();
    assert_eq!(stack.region, "us-east-1");
    let vllm = stack.releases.iter().find(|release| release.name == "vllm").unwrap();
    assert_eq!(vllm.values["model"], "mine/model");
}

#[test]
fn a_setting_that_means_nothing_names_the_closest() {
    let report = |settings: &[&str]| tube_with(settings).map(|stack| stack.name).unwrap_err();
    insta::assert_snapshot!(report(&["regoin=us-east-1"]), @r"
    error: the stack `tube` has no variable `regoin`
      next: did you mean `region`?
    ");
    insta::assert_snapshot!(report(&["verbose"]), @r"
    error: `verbose` sets no variable
      next: write it like `--var region=us-east-1`
    ");
}

#[test]
fn a_file_of_variables_sets_them() {
    let folder = tempfile::tempdir().unwrap();
    let path = camino::Utf8PathBuf::from_path_buf(folder.path().join("show.yaml")).unwrap();
    fs_err::write(&path, "region: eu-north-1\nkubernetes: \"1.33\"\n").unwrap();
    let settings = Settings::read(std::slice::from_ref(&path), &["region=eu-west-3".to_owned()]).unwrap();
    let set: Vec<(&str, &str)> = settings
        .variables
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    assert_eq!(set, [("kubernetes", "1.33"), ("region", "eu-west-3")]);
    fs_err::write(&path, "kubernetes: 1.33\n").unwrap();
    let error = Settings::read(std::slice::from_ref(&path), &[])
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("`kubernetes` takes text, and this is the number 1.33"),
        "{error}"
    );
}

#[test]
fn a_stack_is_found_by_name_by_path_and_by_lying_here() {
    let folder = tempfile::tempdir().unwrap();
    let folder = camino::Utf8Path::from_path(folder.path()).unwrap();
    let name = |argument| {
        let files = load::find(argument, folder).map_err(|error| crate::error::Failure::yours(error).report())?;
        load::load(&files, &Settings::default(), &place())
            .map(|stack| stack.name)
            .map_err(|error| error.to_string())
    };
    assert_eq!(name(None).unwrap(), "tube");
    fs_err::create_dir(folder.join("copy")).unwrap();
    for path in ["stack.yaml", "copy/stack.yaml"] {
        fs_err::write(folder.join(path), SOUND).unwrap();
    }
    for argument in [
        None,
        Some("./copy"),
        Some("copy/stack.yaml"),
        Some("stack.yaml"),
        Some(folder.as_str()),
    ] {
        assert_eq!(name(argument).unwrap(), "mini", "{argument:?}");
    }
    insta::assert_snapshot!(name(Some("tub")).unwrap_err(), @r"
    error: there is no stack `tub`
      next: did you mean `tube`?
    ");
    insta::assert_snapshot!(name(Some("karaoke")).unwrap_err(), @r"
    error: there is no stack `karaoke`
      next: shipped are `tube`; a path begins with `./` or `/`
    ");
    assert!(
        name(Some("./nowhere"))
            .unwrap_err()
            .contains("stack.yaml` cannot be read")
    );
}

#[test]
fn the_region_is_known_before_the_place() {
    let files = load::find(Some("tube"), camino::Utf8Path::new("/nowhere")).unwrap();
    assert_eq!(load::region(&files, &Settings::default()).unwrap(), "eu-west-1");
}

#[test]
fn every_template_that_a_shipped_stack_names_is_shipped() {
    for release in tube().releases {
        if let crate::stack::release::Source::Template { name } = release.source {
            assert!(
                crate::stack::shipped::template(&name).contains_key("Chart.yaml"),
                "{name}"
            );
        }
    }
}

#[test]
fn blocks_give_what_they_promise() {
    let tube = tube();
    let site = crate::stack::names::Site {
        stack: "tube",
        place: &place(),
    };
    let reader = crate::stack::declare::Reader::new(&tube.file);
    let (key, node) = tube.tree.entry("blocks").unwrap();
    let blocks: crate::stack::blocks::Blocks = crate::stack::declare::Declared::read(&reader, key, node).unwrap();
    for (block, expansion) in blocks.expand(&site) {
        let promised = crate::stack::blocks::fixed_outputs(block);
        let given: Vec<&str> = expansion.outputs.keys().map(String::as_str).collect();
        if !["registry", "images", "buckets"].contains(&block) {
            assert_eq!(given, promised, "{block}");
        }
    }
}

proptest::proptest! {
    #[test]
    fn no_text_makes_the_loader_panic(at in 0..SOUND.len(), until in 0..SOUND.len(), put in "[ -~\n\t\u{e9}]{0,6}") {
        let (from, to) = (at.min(until), at.max(until).min(at.min(until) + 12));
        let text = [&SOUND.as_bytes()[..from], put.as_bytes(), &SOUND.as_bytes()[to..]].concat();
        let files = load::Files::of(("stack.yaml", &text), Some(("demo.yaml", &text)));
        // What is said does not matter here, only that something is, and that it can be shown.
        let said = load::load(&files, &Settings::default(), &place()).map_err(|error| error.to_string());
        let region = load::region(&files, &Settings::default()).map_err(|error| error.to_string());
        proptest::prop_assert!(said.is_ok() || !said.unwrap_err().is_empty());
        proptest::prop_assert!(region.is_ok() || !region.unwrap_err().is_empty());
    }
}
