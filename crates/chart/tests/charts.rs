//! Whole charts of our own: dependencies, values, hooks, order, and what is refused.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use tubectl_chart::Chart;
use tubectl_chart::Error;
use tubectl_chart::LoadError;
use tubectl_chart::Lookup;
use tubectl_chart::Options;
use tubectl_chart::Rendered;
use tubectl_chart::Values;
use tubectl_chart::render;

fn chart(files: &[(&str, &str)]) -> Result<Chart, LoadError> {
    Chart::from_files(
        files
            .iter()
            .map(|(name, text)| ((*name).to_owned(), text.as_bytes().to_vec())),
    )
}

fn rendered(files: &[(&str, &str)], values: &str) -> Result<Rendered, Error> {
    render(
        &chart(files).unwrap(),
        &Values::parse(values).unwrap(),
        &Options::new("rel", "ns"),
    )
}

fn text(files: &[(&str, &str)], values: &str) -> String {
    rendered(files, values).unwrap().text()
}

const PLAIN: (&str, &str) = ("Chart.yaml", "apiVersion: v2\nname: c\nversion: 1.0.0\n");

#[test]
fn objects_come_in_the_order_of_installation_and_hooks_last() {
    let files = [
        PLAIN,
        (
            "templates/z.yaml",
            "kind: Zebra\n---\nkind: Deployment\nmetadata: {name: d}\n",
        ),
        (
            "templates/a.yaml",
            "# about b\nkind: Apple\n---\n---\nkind: Namespace\n",
        ),
        (
            "templates/h.yaml",
            "kind: Job\nmetadata:\n  annotations: {helm.sh/hook: pre-install}\n",
        ),
        (
            "templates/odd.yaml",
            "kind: Job\nmetadata:\n  annotations: {helm.sh/hook: never}\n",
        ),
        ("templates/empty.yaml", "{{ if false }}kind: X{{ end }}\n"),
        ("templates/_part.yaml", "kind: Part\n"),
    ];
    let expected = "\
---
# Source: c/templates/a.yaml
---
kind: Namespace
---
# Source: c/templates/z.yaml
kind: Deployment
metadata: {name: d}
---
# Source: c/templates/a.yaml
# about b
kind: Apple
---
# Source: c/templates/z.yaml
kind: Zebra
---
# Source: c/templates/h.yaml
kind: Job
metadata:
  annotations: {helm.sh/hook: pre-install}
";
    assert_eq!(text(&files, ""), expected);
}

const UMBRELLA: [(&str, &str); 10] = [
    (
        "Chart.yaml",
        "apiVersion: v2\nname: top\nversion: 1.0.0\ndependencies:\n\
         - {name: sub, version: 1.x.x, alias: one, condition: one.enabled}\n\
         - {name: sub, version: 1.x.x, alias: two, condition: two.enabled}\n\
         - {name: tagged, version: '*', tags: [extra], import-values: [shared, {child: more, parent: taken}]}\n",
    ),
    (
        "values.yaml",
        "global: {color: red}\none: {size: 5}\ntwo: {enabled: false}\ntags: {extra: true}\nshared: {own: 1}\n",
    ),
    (
        "templates/top.yaml",
        "kind: Top\nshared: {{ .Values.fromExports }}\ntaken: {{ .Values.taken.x }}\nsub: {{ .Subcharts.one.Chart.Name }}\nhelper: {{ include \"helper\" . }}\n",
    ),
    ("templates/_helpers.tpl", "{{ define \"helper\" }}parent{{ end }}"),
    ("charts/sub/Chart.yaml", "apiVersion: v2\nname: sub\nversion: 1.2.0\n"),
    (
        "charts/sub/values.yaml",
        "size: 1\nkeep: x\ndrop: y\nglobal: {color: blue, shape: round}\n",
    ),
    (
        "charts/sub/templates/sub.yaml",
        "kind: Sub\nname: {{ .Chart.Name }}\nsize: {{ .Values.size }}\nkeep: {{ .Values.keep }}\ndrop: {{ .Values.drop | default \"gone\" }}\n\
         global: {{ toJson .Values.global }}\nhelper: {{ include \"helper\" . }}\n",
    ),
    (
        "charts/sub/templates/_helpers.tpl",
        "{{ define \"helper\" }}child{{ end }}",
    ),
    (
        "charts/tagged/Chart.yaml",
        "apiVersion: v2\nname: tagged\nversion: 0.1.0\n",
    ),
    (
        "charts/tagged/values.yaml",
        "exports: {shared: {fromExports: yes}}\nmore: {x: 7}\n",
    ),
];

#[test]
fn dependencies_have_names_conditions_globals_and_imports() {
    let expected = "\
---
# Source: top/charts/one/templates/sub.yaml
kind: Sub
name: one
size: 5
keep: x
drop: gone
global: {\"color\":\"red\",\"shape\":\"round\"}
helper: parent
---
# Source: top/templates/top.yaml
kind: Top
shared: true
taken: 7
sub: one
helper: parent
";
    assert_eq!(text(&UMBRELLA, "one: {drop: null}\n"), expected);
}

#[test]
fn conditions_are_asked_with_the_values_of_the_user() {
    let both = text(&UMBRELLA, "two: {enabled: true}\n");
    assert!(
        both.contains("top/charts/one/") && both.contains("top/charts/two/"),
        "{both}"
    );
    let none = rendered(&UMBRELLA, "one: {enabled: false}\n").unwrap_err().to_string();
    assert!(none.contains("nil pointer evaluating interface {}.Chart"), "{none}");
}

#[test]
fn a_null_deletes_a_default() {
    let files = [
        PLAIN,
        ("values.yaml", "a: {b: 1, c: 2}\nd: 3\n"),
        ("templates/v.yaml", "{{ toYaml .Values }}\n"),
    ];
    let expected = "---\n# Source: c/templates/v.yaml\na:\n  c: 2\ne: x\n";
    assert_eq!(text(&files, "a: {b: null}\nd: null\ne: x\n"), expected);
}

#[test]
fn numbers_of_set_are_integers_and_of_files_are_floats() {
    let files = [
        PLAIN,
        ("templates/v.yaml", "x: {{ .Values.x }} {{ typeOf .Values.x }}\n"),
    ];
    let chart = chart(&files).unwrap();
    let mut values = Values::default();
    values.set("x=10000000,l[1].a=b,m={p,q},t=true,s=007,c=a\\,b").unwrap();
    let set = render(&chart, &values, &Options::new("r", "n")).unwrap().text();
    assert!(set.contains("x: 10000000 int64"), "{set}");
    assert!(text(&files, "x: 10000000\n").contains("x: 1e+07 float64"));
    let printed = tubectl_yaml::emit(&values.to_yaml());
    assert_eq!(
        printed,
        "c: a,b\nl:\n- null\n- a: b\nm:\n- p\n- q\ns: \"007\"\nt: true\nx: 10000000\n"
    );
}

#[test]
fn set_that_is_not_well_formed_is_refused() {
    for wrong in ["a", "=1", "a={1", "a[x]=1", "a[99999]=1", "a[0]b=1"] {
        assert!(Values::default().set(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn lookup_finds_what_it_was_given() {
    let object = "{apiVersion: v1, kind: Secret, metadata: {name: s, namespace: prod}, data: {k: dg==}}";
    let template = "k: {{ (lookup \"v1\" \"Secret\" \"prod\" \"s\").data.k }}\n\
                    none: {{ lookup \"v1\" \"Secret\" \"prod\" \"x\" | len }}\n\
                    all: {{ len (lookup \"v1\" \"Secret\" \"\" \"\").items }}\n";
    let mut options = Options::new("r", "n");
    options.lookup = Lookup::new([tubectl_yaml::parse(object).unwrap()]);
    let chart = chart(&[PLAIN, ("templates/l.yaml", template)]).unwrap();
    let printed = render(&chart, &Values::default(), &options).unwrap().text();
    assert!(printed.ends_with("k: dg==\nnone: 0\nall: 1\n"), "{printed}");
}

#[test]
fn charts_that_cannot_be_installed_say_why() {
    let cases: [(&[(&str, &str)], &str); 5] = [
        (
            &[("Chart.yaml", "apiVersion: v2\nname: l\nversion: 1.0.0\ntype: library\n")],
            "library charts are not installable",
        ),
        (
            &[(
                "Chart.yaml",
                "apiVersion: v2\nname: l\nversion: 1.0.0\nkubeVersion: '<1.20'\n",
            )],
            "chart requires kubeVersion: <1.20 which is incompatible with Kubernetes v1.36.0",
        ),
        (
            &[(
                "Chart.yaml",
                "apiVersion: v2\nname: l\nversion: 1.0.0\ndependencies: [{name: gone, version: 1}]\n",
            )],
            "found in Chart.yaml, but missing in charts/ directory: gone",
        ),
        (
            &[PLAIN, ("templates/x.yaml", "a: b: c\n")],
            "YAML parse error on c/templates/x.yaml: error converting YAML to JSON",
        ),
        (
            &[PLAIN, ("templates/x.yaml", "{{ if }}\n")],
            "parse error at (c/templates/x.yaml:1): missing value for if",
        ),
    ];
    for (files, expected) in cases {
        let error = rendered(files, "").unwrap_err().to_string();
        assert!(error.contains(expected), "{error}\n{expected}");
    }
}

#[test]
fn errors_show_the_line_and_the_way_there() {
    let files = [
        PLAIN,
        (
            "templates/_h.tpl",
            "{{ define \"name\" }}\n{{- .Values.server.name -}}\n{{ end }}",
        ),
        ("templates/x.yaml", "kind: X\nname: {{ include \"name\" . }}\n"),
    ];
    let error = rendered(&files, "").unwrap_err();
    assert_eq!(
        error.to_string(),
        "template: c/templates/x.yaml:2:9: executing \"c/templates/x.yaml\" at <include \"name\" .>: error calling include: \
         template: c/templates/_h.tpl:2:11: executing \"name\" at <.Values.server.name>: \
         nil pointer evaluating interface {}.name"
    );
    let Error::Template(fault) = error else {
        panic!("{error}")
    };
    let explained = fault.explain();
    for part in [
        "_h.tpl:2:",
        ".Values.server.name",
        "included from c/templates/x.yaml:2",
        "help: a value on this path",
    ] {
        assert!(explained.contains(part), "{part}\n{explained}");
    }
}

#[test]
fn crds_are_kept_apart() {
    let files = [
        PLAIN,
        ("crds/b.yaml", "kind: CustomResourceDefinition\n"),
        ("crds/README.md", "x"),
    ];
    let rendered = rendered(&files, "").unwrap();
    assert!(rendered.manifests.is_empty());
    assert_eq!(
        rendered.crds.iter().map(|file| file.name.as_str()).collect::<Vec<_>>(),
        ["c/crds/b.yaml"]
    );
}

#[test]
fn certificates_are_made_from_the_seed() {
    let template = "{{ $ca := genCA \"ca\" 365 }}{{ $c := genSignedCert \"svc\" (list \"10.0.0.1\") (list \"svc.ns\") 365 $ca }}\
                    ca: {{ $ca.Cert | b64enc }}\ncert: {{ $c.Cert | b64enc }}\nkey: {{ $c.Key | b64enc }}\n";
    let files = [PLAIN, ("templates/c.yaml", template)];
    let once = text(&files, "");
    assert_eq!(once, text(&files, ""));
    let chart = chart(&files).unwrap();
    let mut options = Options::new("rel", "ns");
    options.seed = 1;
    assert_ne!(once, render(&chart, &Values::default(), &options).unwrap().text());
}

#[test]
fn hostile_archives_are_refused() {
    for name in ["c/../../x", "/c/x", "c", "C:/x"] {
        let error = Chart::from_archive(&archive(&[(name, b"x".as_slice())])).unwrap_err();
        assert!(matches!(error, LoadError::Hostile { .. }), "{name}: {error}");
    }
    let twice = archive(&[("c/Chart.yaml", b"a".as_slice()), ("c/Chart.yaml", b"b".as_slice())]);
    assert!(matches!(
        Chart::from_archive(&twice).unwrap_err(),
        LoadError::Hostile { .. }
    ));
    let large = vec![b'x'; (5 << 20) + 1];
    let error = Chart::from_archive(&archive(&[("c/values.yaml", &large)])).unwrap_err();
    assert!(error.to_string().contains("larger than 5 MiB"), "{error}");
    assert!(matches!(
        Chart::from_archive(b"no gzip").unwrap_err(),
        LoadError::Archive { .. }
    ));
}

fn archive(files: &[(&str, &[u8])]) -> Vec<u8> {
    let packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    let mut tar = tar::Builder::new(packer);
    for (name, data) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(data.len() as u64);
        // Written by hand: the builder refuses the names that must be refused when read.
        let bytes = &mut header.as_old_mut().name;
        bytes[..name.len()].copy_from_slice(name.as_bytes());
        header.set_cksum();
        tar.append(&header, *data).unwrap();
    }
    tar.into_inner().unwrap().finish().unwrap()
}

#[test]
fn a_folder_is_read_without_what_it_ignores() {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in [
        ("Chart.yaml", PLAIN.1),
        (".helmignore", "*.bak\n/secret/\n"),
        ("templates/a.yaml", "kind: A\n"),
        ("templates/a.yaml.bak", "kind: B\n"),
        ("templates/.hidden", "kind: C\n"),
        ("secret/x.txt", "x"),
        ("notes/x.txt", "x"),
    ] {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    let chart = Chart::from_directory(folder.path()).unwrap();
    let names: Vec<&str> = chart
        .templates
        .iter()
        .chain(&chart.files)
        .map(|file| file.name.as_str())
        .collect();
    assert_eq!(names, ["templates/a.yaml", ".helmignore", "notes/x.txt"]);
}
