//! Helm's record, there and back.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use jiff::Timestamp;
use serde_json::json;
use tubectl_chart::Chart;
use tubectl_chart::Options;
use tubectl_chart::Values;
use tubectl_chart::release::Record;
use tubectl_chart::release::Stamp;
use tubectl_chart::release::Status;
use tubectl_chart::release::secret_name;
use tubectl_chart::render;

fn record() -> Record {
    let files = [
        (
            "Chart.yaml",
            "apiVersion: v2\nname: web\nversion: 1.0.0\nkeywords: [a]\n",
        ),
        ("values.yaml", "replicas: 1\nratio: 0.5\n"),
        ("README.md", "read me"),
        ("templates/map.yaml", "kind: ConfigMap\nmetadata: {name: m}\n"),
        (
            "templates/job.yaml",
            "kind: Job\nmetadata:\n  name: j\n  annotations:\n    helm.sh/hook: pre-install, post-upgrade\n    helm.sh/hook-weight: '-5'\n",
        ),
        ("templates/NOTES.txt", "hello"),
    ];
    let chart = Chart::from_files(files.map(|(name, text)| (name.to_owned(), text.into()))).unwrap();
    let mut values = Values::parse("replicas: 3\n").unwrap();
    values.set("name=x").unwrap();
    let mut options = Options::new("shop", "prod");
    options.now = "2026-01-02T03:04:05.5Z".parse::<Timestamp>().unwrap();
    let rendered = render(&chart, &values, &options).unwrap();
    Record::new(&chart, &values, &options, &rendered, Status::PendingInstall)
}

#[test]
fn a_record_survives_the_way_there_and_back() {
    let mut record = record();
    record.labels.insert("team".to_owned(), "blue".to_owned());
    let secret = record
        .to_secret(Stamp::Created("2026-01-02T03:04:05Z".parse().unwrap()))
        .unwrap();
    assert_eq!(Record::from_secret(&secret).unwrap(), record);
}

#[test]
fn a_secret_looks_as_helm_expects_it() {
    let mut secret = record()
        .to_secret(Stamp::Created("2026-01-02T03:04:05Z".parse().unwrap()))
        .unwrap();
    secret["data"] = json!(null);
    let expected = json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": "sh.helm.release.v1.shop.v1",
            "namespace": "prod",
            "labels": {
                "createdAt": "1767323045", "name": "shop", "owner": "helm", "status": "pending-install", "version": "1"
            },
        },
        "type": "helm.sh/release.v1",
        "data": null,
    });
    assert_eq!(secret, expected);
    assert_eq!(secret_name("shop", 7), "sh.helm.release.v1.shop.v7");
}

#[test]
fn a_record_holds_what_helm_shows() {
    let record = record();
    assert_eq!(record.config, json!({"name": "x", "replicas": 3}));
    assert_eq!(
        record.chart["metadata"],
        json!({"apiVersion": "v2", "keywords": ["a"], "name": "web", "version": "1.0.0"})
    );
    assert_eq!(record.chart["values"], json!({"ratio": 0.5, "replicas": 1}));
    assert_eq!(
        record.chart["files"][0],
        json!({"name": "README.md", "data": "cmVhZCBtZQ=="})
    );
    assert_eq!(
        record.manifest,
        "---\n# Source: web/templates/map.yaml\nkind: ConfigMap\nmetadata: {name: m}\n"
    );
    assert_eq!(record.notes, "hello");
    assert_eq!(record.hooks[0]["events"], json!(["pre-install", "post-upgrade"]));
    assert_eq!(record.hooks[0]["weight"], json!(-5));
}

#[test]
fn a_record_without_the_files_is_smaller() {
    let mut record = record();
    record.drop_files();
    assert_eq!(record.chart["files"], json!([]));
}

#[test]
fn records_that_are_not_packed_are_read() {
    // base 64 of {"name":"a","info":{"status":"deployed","deleted":""},"version":2}
    let data = b"eyJuYW1lIjoiYSIsImluZm8iOnsic3RhdHVzIjoiZGVwbG95ZWQiLCJkZWxldGVkIjoiIn0sInZlcnNpb24iOjJ9";
    let record = Record::decode(data).unwrap();
    assert_eq!(
        (record.name.as_str(), record.revision, record.status),
        ("a", 2, Status::Deployed)
    );
    assert_eq!(record.deleted, None);
}

#[test]
fn what_is_no_record_is_refused() {
    assert!(Record::decode(b"!").is_err());
    assert!(Record::decode(b"H4sIAAAA").is_err());
    assert!(Record::from_secret(&json!({})).is_err());
}
