//! The stand-in charts, packed as their publishers would pack them, and where each is published.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use bytes::Bytes;
use serde_json::Value;
use serde_json::json;
use tubectl_yaml::parse;

use crate::content::sha256;
use crate::registry::image::Images;

/// Every file of every stand-in, by its path under the folder of stand-ins.
const FILES: &[(&str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/standins.rs"));

/// Which chart is in which repository of which public registry.
const IN_REGISTRIES: &[(&str, &str, &str)] = &[
    ("karpenter", "public.ecr.aws", "karpenter/karpenter"),
    ("otel-add-on", "ghcr.io", "kedify/charts/otel-add-on"),
];

/// Which chart is in which HTTP repository: its host and the path in front of `index.yaml`.
const AT_HTTP: &[(&str, &str, &str)] = &[
    ("keda", "kedify.github.io", "/charts"),
    ("aws-load-balancer-controller", "aws.github.io", "/eks-charts"),
    ("metrics-server", "kubernetes-sigs.github.io", "/metrics-server"),
];

static SHELF: LazyLock<Shelf> = LazyLock::new(|| Shelf::new(FILES));

/// One packed chart.
#[derive(Clone, Debug)]
pub(crate) struct Chart {
    pub(crate) name: String,
    pub(crate) version: String,
    /// What its `Chart.yaml` says.
    pub(crate) metadata: Value,
    pub(crate) archive: Bytes,
}

/// All packed charts.
#[derive(Debug, Default)]
pub(crate) struct Shelf {
    charts: BTreeMap<String, Chart>,
    // By host and repository.
    images: BTreeMap<(&'static str, &'static str), Images>,
}

/// The charts that are part of this program.
pub(crate) fn embedded() -> &'static Shelf {
    &SHELF
}

impl Shelf {
    /// Packs the charts whose files are given by path, the first folder being one chart each.
    pub(crate) fn new(files: &[(&str, &[u8])]) -> Self {
        let mut folders: BTreeMap<&str, Vec<(&str, &[u8])>> = BTreeMap::new();
        for (path, bytes) in files {
            if let Some((folder, inner)) = path.split_once('/') {
                folders.entry(folder).or_default().push((inner, bytes));
            }
        }
        let charts: BTreeMap<String, Chart> = folders
            .values()
            .filter_map(|files| Chart::pack(files))
            .map(|chart| (chart.name.clone(), chart))
            .collect();
        let images = IN_REGISTRIES
            .iter()
            .filter_map(|(name, host, repository)| Some(((*host, *repository), charts.get(*name)?.as_image())))
            .collect();
        Self { charts, images }
    }

    /// The images of a repository in a public registry.
    pub(crate) fn images(&self, host: &str, repository: &str) -> Option<&Images> {
        let found = |place: &&(&'static str, &'static str)| place.0 == host && place.1 == repository;
        self.images.keys().find(found).map(|place| &self.images[place])
    }

    /// What an HTTP chart repository answers for a path: its index or one of its archives.
    pub(crate) fn file(&self, host: &str, path: &str) -> Option<(&'static str, Bytes)> {
        let charts: Vec<(&Chart, &str)> = AT_HTTP
            .iter()
            .filter(|place| place.1 == host)
            .filter_map(|(name, _, prefix)| Some((self.charts.get(*name)?, *prefix)))
            .collect();
        charts.iter().find_map(|(chart, prefix)| {
            let file = path.strip_prefix(prefix)?.strip_prefix('/')?;
            if file == chart.file_name() {
                return Some(("application/gzip", chart.archive.clone()));
            }
            (file == "index.yaml").then(|| ("text/yaml", index(host, prefix, &charts).into()))
        })
    }
}

/// Whether a host is one of the HTTP chart repositories.
pub(crate) fn is_http_repository(host: &str) -> bool {
    AT_HTTP.iter().any(|place| place.1 == host)
}

/// The index of the charts that share one host and prefix.
fn index(host: &str, prefix: &str, charts: &[(&Chart, &str)]) -> String {
    let entries: serde_json::Map<String, Value> = charts
        .iter()
        .filter(|(_, place)| *place == prefix)
        .map(|(chart, _)| {
            let mut entry = chart.metadata.clone();
            entry["urls"] = json!([format!("https://{host}{prefix}/{}", chart.file_name())]);
            entry["digest"] = json!(sha256(&chart.archive));
            entry["created"] = json!("2026-01-01T00:00:00Z");
            (chart.name.clone(), json!([entry]))
        })
        .collect();
    let index = json!({"apiVersion": "v1", "entries": entries, "generated": "2026-01-01T00:00:00Z"});
    tubectl_yaml::emit(&index.into())
}

impl Chart {
    /// Packs a chart's files; none if its `Chart.yaml` names no chart.
    fn pack(files: &[(&str, &[u8])]) -> Option<Self> {
        let (_, text) = files.iter().find(|(path, _)| *path == "Chart.yaml")?;
        let metadata = Value::from(parse(std::str::from_utf8(text).ok()?).ok()?);
        let name = metadata["name"].as_str()?.to_owned();
        let version = metadata["version"].as_str()?.to_owned();
        let archive = archive(&name, files);
        Some(Self {
            name,
            version,
            metadata,
            archive,
        })
    }

    fn file_name(&self) -> String {
        format!("{}-{}.tgz", self.name, self.version)
    }

    /// The chart as Helm pushes it: its metadata as configuration, its archive as the only layer.
    fn as_image(&self) -> Images {
        let mut images = Images::default();
        let configuration = Bytes::from(self.metadata.to_string());
        let manifest = json!({
            "schemaVersion": 2,
            "config": {
                "mediaType": "application/vnd.cncf.helm.config.v1+json",
                "digest": format!("sha256:{}", sha256(&configuration)),
                "size": configuration.len(),
            },
            "layers": [{
                "mediaType": "application/vnd.cncf.helm.chart.content.v1.tar+gzip",
                "digest": format!("sha256:{}", sha256(&self.archive)),
                "size": self.archive.len(),
            }],
            "annotations": {
                "org.opencontainers.image.title": self.name,
                "org.opencontainers.image.version": self.version,
            },
        });
        images.add_blob(configuration);
        images.add_blob(self.archive.clone());
        // A tag cannot have the `+` of a version; Helm writes `_` in its place.
        let tag = self.version.replace('+', "_");
        let manifest = Bytes::from(manifest.to_string());
        images.add_manifest(
            "application/vnd.oci.image.manifest.v1+json",
            manifest,
            Some(&tag),
            jiff::Timestamp::UNIX_EPOCH,
        );
        images
    }
}

/// A chart's archive, the same bytes at every packing: `Chart.yaml` first, the rest in order of name, no times, no owners.
fn archive(name: &str, files: &[(&str, &[u8])]) -> Bytes {
    let mut files = files.to_vec();
    files.sort_by_key(|(path, _)| (*path != "Chart.yaml", *path));
    let packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    let mut builder = tar::Builder::new(packer);
    for (path, bytes) in files {
        let mut header = tar::Header::new_ustar();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        header.set_mtime(0);
        builder
            .append_data(&mut header, format!("{name}/{path}"), bytes)
            .expect("memory takes every byte, and our paths are short");
    }
    let archived = builder.into_inner().and_then(flate2::write::GzEncoder::finish);
    archived.expect("memory takes every byte").into()
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    const CHARTS: &[(&str, &[u8])] = &[
        ("keda/templates/service.yaml", b"kind: Service\n"),
        ("keda/Chart.yaml", b"apiVersion: v2\nname: keda\nversion: v2.20.1-6\n"),
        (
            "otel/Chart.yaml",
            b"apiVersion: v2\nname: otel-add-on\nversion: 0.1.4+b1\n",
        ),
    ];

    #[test]
    fn packing_twice_gives_the_same_bytes() {
        let pack = || Shelf::new(CHARTS).charts["keda"].archive.clone();
        assert_eq!(pack(), pack());
    }

    #[test]
    fn an_archive_has_its_files_under_the_charts_name() {
        let shelf = Shelf::new(CHARTS);
        let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(&shelf.charts["keda"].archive[..]));
        let mut names = Vec::new();
        for entry in archive.entries().unwrap() {
            let mut entry = entry.unwrap();
            let mut text = String::new();
            entry.read_to_string(&mut text).unwrap();
            names.push((entry.path().unwrap().display().to_string(), text.len()));
        }
        assert_eq!(
            names,
            [
                ("keda/Chart.yaml".to_owned(), CHARTS[1].1.len()),
                ("keda/templates/service.yaml".to_owned(), CHARTS[0].1.len())
            ]
        );
    }

    #[test]
    fn an_http_repository_lists_its_chart_and_serves_it() {
        let shelf = Shelf::new(CHARTS);
        let (_, index) = shelf.file("kedify.github.io", "/charts/index.yaml").unwrap();
        let index = Value::from(parse(std::str::from_utf8(&index).unwrap()).unwrap());
        let entry = &index["entries"]["keda"][0];
        let url = entry["urls"][0].as_str().unwrap();
        assert_eq!(url, "https://kedify.github.io/charts/keda-v2.20.1-6.tgz");
        let (_, archive) = shelf
            .file(
                "kedify.github.io",
                url.strip_prefix("https://kedify.github.io").unwrap(),
            )
            .unwrap();
        assert_eq!(entry["digest"], sha256(&archive));
    }

    #[test]
    fn a_version_with_a_plus_is_tagged_with_an_underscore() {
        let shelf = Shelf::new(CHARTS);
        let images = shelf.images("ghcr.io", "kedify/charts/otel-add-on").unwrap();
        assert!(images.manifest("0.1.4_b1").is_some());
    }

    #[test]
    fn every_published_chart_is_part_of_the_program_and_the_other_way_round() {
        let mut published: Vec<&str> = IN_REGISTRIES.iter().chain(AT_HTTP).map(|place| place.0).collect();
        published.sort_unstable();
        let embedded: Vec<&str> = embedded().charts.keys().map(String::as_str).collect();
        assert_eq!(published, embedded);
    }
}
