//! From files to charts: a folder, an archive, or files in memory. Archives are not trusted.

mod ignore;

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use flate2::read::GzDecoder;
use thiserror::Error;
use tubectl_yaml::Value as Yaml;

use crate::metadata::Metadata;
use crate::metadata::dependencies;
use crate::semver::Version;
use crate::values::with_floats;

/// What an unpacked chart may weigh, as Helm has it.
const CHART: u64 = 100 << 20;

/// What one file of an archive may weigh, as Helm has it.
const FILE: u64 = 5 << 20;

/// Charts within charts within charts: real ones stop at three.
const DEPTH: usize = 20;

/// A chart with everything in it, and nothing decided yet.
#[derive(Clone, Debug)]
pub struct Chart {
    /// The contents of `Chart.yaml`.
    pub metadata: Metadata,
    /// The contents of `Chart.lock`, if there is one.
    pub lock: Option<Yaml>,
    /// The defaults of `values.yaml`; numbers are floats, as templates see them.
    pub values: BTreeMap<String, Yaml>,
    /// The text of `values.schema.json`, if there is one.
    pub schema: Option<Arc<[u8]>>,
    /// The files under `templates/`.
    pub templates: Vec<File>,
    /// All other files, those of `crds/` among them.
    pub files: Vec<File>,
    /// The charts under `charts/`.
    pub dependencies: Vec<Chart>,
}

/// A file of a chart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// The path within the chart, with slashes.
    pub name: String,
    /// The contents.
    pub data: Arc<[u8]>,
}

/// Why a chart could not be loaded.
#[derive(Debug, Error)]
pub enum LoadError {
    /// The folder or a file in it cannot be read.
    #[error("cannot read `{path}`")]
    Read {
        /// Which.
        path: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The bytes are no archive.
    #[error("this is no chart archive: {reason}; expected the .tgz file that `helm package` makes")]
    Archive {
        /// What is wrong with it.
        reason: String,
    },
    /// The archive would do harm.
    #[error("refusing the archive: {reason}")]
    Hostile {
        /// What it tries.
        reason: String,
    },
    /// `Chart.yaml` is missing.
    #[error("Chart.yaml file is missing")]
    NoChart,
    /// A file is not what it should be.
    #[error("cannot load {file}: {reason}")]
    File {
        /// Which.
        file: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The chart contradicts Helm's rules.
    #[error("validation: {reason}")]
    Invalid {
        /// Which rule.
        reason: String,
    },
    /// A chart under `charts/` cannot be loaded.
    #[error("error unpacking subchart {name} in {chart}")]
    Dependency {
        /// The file or folder under `charts/`.
        name: String,
        /// The chart that holds it.
        chart: String,
        /// Why.
        #[source]
        source: Box<LoadError>,
    },
}

impl Chart {
    /// Loads a chart from files, named by their path within the chart.
    ///
    /// # Errors
    /// If a file that every chart needs is missing or broken.
    pub fn from_files(files: impl IntoIterator<Item = (String, Vec<u8>)>) -> Result<Self, LoadError> {
        from_files(
            files
                .into_iter()
                .map(|(name, data)| File {
                    name,
                    data: without_mark(data).into(),
                })
                .collect(),
            0,
        )
    }

    /// Loads a chart from the bytes of a `.tgz` archive.
    ///
    /// # Errors
    /// If the bytes are no archive, hold what could do harm, or hold no chart.
    pub fn from_archive(bytes: &[u8]) -> Result<Self, LoadError> {
        from_files(unpack(bytes)?, 0)
    }

    /// Loads a chart from a folder, leaving out what its `.helmignore` names.
    ///
    /// # Errors
    /// If a file cannot be read, or a file that every chart needs is missing or broken.
    pub fn from_directory(path: &Path) -> Result<Self, LoadError> {
        from_files(walk(path)?, 0)
    }

    /// The chart's name.
    pub fn name(&self) -> &str {
        &self.metadata.name
    }

    /// The files under `crds/`, those of its dependencies after its own, with their path in the whole chart.
    pub fn crds(&self) -> Vec<File> {
        let mut crds = Vec::new();
        self.collect_crds(&self.metadata.name, &mut crds);
        crds
    }

    fn collect_crds(&self, path: &str, crds: &mut Vec<File>) {
        for file in &self.files {
            let manifest = [".yaml", ".yml", ".json"]
                .iter()
                .any(|ending| file.name.ends_with(ending));
            if file.name.starts_with("crds/") && manifest {
                crds.push(File {
                    name: format!("{path}/{}", file.name),
                    data: Arc::clone(&file.data),
                });
            }
        }
        for dependency in &self.dependencies {
            dependency.collect_crds(&format!("{path}/charts/{}", dependency.metadata.name), crds);
        }
    }

    fn validate(&self) -> Result<(), LoadError> {
        let invalid = |reason: String| Err(LoadError::Invalid { reason });
        let metadata = &self.metadata;
        for (key, value) in [("name", &metadata.name), ("version", &metadata.version)] {
            if value.is_empty() {
                return invalid(format!("chart.metadata.{key} is required"));
            }
        }
        if metadata.name.contains('/') {
            return invalid(format!("chart.metadata.name {:?} is invalid", metadata.name));
        }
        if Version::parse(&metadata.version).is_err() {
            return invalid(format!("chart.metadata.version {:?} is invalid", metadata.version));
        }
        if !matches!(metadata.kind.as_str(), "" | "application" | "library") {
            return invalid("chart.metadata.type must be application or library".to_owned());
        }
        let mut names: Vec<&str> = Vec::new();
        for dependency in &metadata.dependencies {
            let alias_is_sound = |alias: &str| {
                alias
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
            };
            if !alias_is_sound(&dependency.alias) {
                return invalid(format!(
                    "dependency {:?} has disallowed characters in the alias",
                    dependency.name
                ));
            }
            let name = if dependency.alias.is_empty() {
                &dependency.name
            } else {
                &dependency.alias
            };
            if names.contains(&name.as_str()) {
                return invalid(format!("more than one dependency with name or alias {name:?}"));
            }
            names.push(name);
        }
        Ok(())
    }
}

fn from_files(files: Vec<File>, depth: usize) -> Result<Chart, LoadError> {
    if depth > DEPTH {
        return Err(LoadError::Hostile {
            reason: format!("charts are nested deeper than {DEPTH} levels"),
        });
    }
    let mut metadata = None;
    for file in files.iter().filter(|file| file.name == "Chart.yaml") {
        metadata = Some(Metadata::from_yaml(&yaml(file)?));
    }
    let mut chart = Chart {
        metadata: metadata.ok_or(LoadError::NoChart)?,
        lock: None,
        values: BTreeMap::new(),
        schema: None,
        templates: Vec::new(),
        files: Vec::new(),
        dependencies: Vec::new(),
    };
    let old = chart.metadata.api_version == "v1";
    let mut parts: BTreeMap<String, Vec<File>> = BTreeMap::new();
    for file in files {
        match file.name.as_str() {
            "Chart.yaml" => {}
            "Chart.lock" => chart.lock = Some(yaml(&file)?),
            "values.yaml" => chart.values = values(&file)?,
            "values.schema.json" => chart.schema = Some(file.data),
            "requirements.yaml" => {
                chart.metadata.dependencies = dependencies(&yaml(&file)?);
                chart.files.extend(old.then_some(file));
            }
            "requirements.lock" => {
                chart.lock = Some(yaml(&file)?);
                chart.files.extend(old.then_some(file));
            }
            name if name.starts_with("templates/") => chart.templates.push(file),
            name if name.starts_with("charts/") && has_ending(name, "prov") => chart.files.push(file),
            name => match name.strip_prefix("charts/") {
                Some(rest) => {
                    let part = rest.split('/').next().unwrap_or(rest).to_owned();
                    let file = File {
                        name: rest.to_owned(),
                        data: file.data,
                    };
                    parts.entry(part).or_default().push(file);
                }
                None => chart.files.push(file),
            },
        }
    }
    chart.validate()?;
    for (name, files) in parts {
        if name.starts_with(['_', '.']) {
            continue;
        }
        let dependency = dependency(&name, files, depth).map_err(|source| LoadError::Dependency {
            name: name.clone(),
            chart: chart.metadata.name.clone(),
            source: Box::new(source),
        })?;
        chart.dependencies.push(dependency);
    }
    Ok(chart)
}

fn has_ending(name: &str, ending: &str) -> bool {
    Path::new(name).extension().is_some_and(|known| known == ending)
}

fn dependency(name: &str, files: Vec<File>, depth: usize) -> Result<Chart, LoadError> {
    if has_ending(name, "tgz")
        && let [archive] = files.as_slice()
        && archive.name == name
    {
        return from_files(unpack(&archive.data)?, depth + 1);
    }
    let files = files.into_iter().filter_map(|file| {
        let (_, rest) = file.name.split_once('/')?;
        Some(File {
            name: rest.to_owned(),
            data: file.data,
        })
    });
    from_files(files.collect(), depth + 1)
}

fn yaml(file: &File) -> Result<Yaml, LoadError> {
    let text = String::from_utf8_lossy(&file.data);
    tubectl_yaml::parse(&text).map_err(|error| LoadError::File {
        file: file.name.clone(),
        reason: error.to_string(),
    })
}

fn values(file: &File) -> Result<BTreeMap<String, Yaml>, LoadError> {
    match with_floats(yaml(file)?) {
        Yaml::Map(values) => Ok(values),
        Yaml::Null => Ok(BTreeMap::new()),
        _ => Err(LoadError::File {
            file: file.name.clone(),
            reason: "it must be a map from names to values".to_owned(),
        }),
    }
}

fn without_mark(mut data: Vec<u8>) -> Vec<u8> {
    if data.starts_with(b"\xef\xbb\xbf") {
        data.drain(..3);
    }
    data
}

fn unpack(bytes: &[u8]) -> Result<Vec<File>, LoadError> {
    let archive = |reason: String| LoadError::Archive { reason };
    if !bytes.starts_with(b"\x1f\x8b") {
        return Err(archive("it is not compressed with gzip".to_owned()));
    }
    let mut files: Vec<File> = Vec::new();
    let mut total = 0;
    let mut tar = tar::Archive::new(GzDecoder::new(bytes).take(CHART + FILE));
    for entry in tar.entries().map_err(|error| archive(error.to_string()))? {
        let mut entry = entry.map_err(|error| archive(error.to_string()))?;
        let kind = entry.header().entry_type();
        if kind.is_dir() || kind.is_pax_global_extensions() || kind.is_pax_local_extensions() {
            continue;
        }
        let name = String::from_utf8_lossy(&entry.path_bytes()).replace('\\', "/");
        if kind.is_symlink() || kind.is_hard_link() {
            return Err(LoadError::Hostile {
                reason: format!("`{name}` is a link"),
            });
        }
        let name = inner_name(&name)?;
        let mut data = Vec::new();
        entry
            .by_ref()
            .take(FILE + 1)
            .read_to_end(&mut data)
            .map_err(|error| archive(error.to_string()))?;
        let size = u64::try_from(data.len()).unwrap_or(u64::MAX);
        total += size;
        if size > FILE {
            return Err(LoadError::Hostile {
                reason: format!("`{name}` is larger than {} MiB", FILE >> 20),
            });
        }
        if total > CHART {
            return Err(LoadError::Hostile {
                reason: format!("it holds more than {} MiB", CHART >> 20),
            });
        }
        if files.iter().any(|file| file.name == name) {
            return Err(LoadError::Hostile {
                reason: format!("it holds `{name}` twice"),
            });
        }
        files.push(File {
            name,
            data: without_mark(data).into(),
        });
    }
    if files.is_empty() {
        return Err(archive("it holds no files".to_owned()));
    }
    Ok(files)
}

/// The path within the chart, whose own folder comes first in an archive.
fn inner_name(name: &str) -> Result<String, LoadError> {
    let hostile = |reason: String| Err(LoadError::Hostile { reason });
    if name.starts_with('/') || name.as_bytes().get(1) == Some(&b':') {
        return hostile(format!("`{name}` is an absolute path"));
    }
    let Some((_, inner)) = name.split_once('/') else {
        return hostile(format!("`{name}` is not in a folder"));
    };
    let parts: Vec<&str> = inner.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
    if parts.contains(&"..") || parts.is_empty() {
        return hostile(format!("`{name}` leads out of the chart"));
    }
    Ok(parts.join("/"))
}

fn walk(root: &Path) -> Result<Vec<File>, LoadError> {
    let rules = match std::fs::read_to_string(root.join(".helmignore")) {
        Ok(text) => ignore::Rules::parse(&text).map_err(|reason| LoadError::File {
            file: ".helmignore".to_owned(),
            reason,
        })?,
        Err(_) => ignore::Rules::parse("").unwrap_or_default(),
    };
    let mut files = Vec::new();
    visit(root, "", &rules, &mut files, 0)?;
    Ok(files)
}

/// Follows links, as Helm does in folders: the folder is the user's own.
fn visit(
    root: &Path,
    inner: &str,
    rules: &ignore::Rules,
    files: &mut Vec<File>,
    depth: usize,
) -> Result<(), LoadError> {
    let path = root.join(inner);
    let failed = |path: &Path, source| LoadError::Read {
        path: path.display().to_string(),
        source,
    };
    if depth > DEPTH * 4 {
        return Err(LoadError::Hostile {
            reason: format!("`{}` is nested without end", path.display()),
        });
    }
    let mut entries: Vec<_> = std::fs::read_dir(&path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|source| failed(&path, source))?;
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        let name = entry.file_name().to_string_lossy().into_owned();
        let inner = if inner.is_empty() {
            name
        } else {
            format!("{inner}/{name}")
        };
        let path = entry.path();
        let kind = std::fs::metadata(&path).map_err(|source| failed(&path, source))?;
        if rules.ignores(&inner, kind.is_dir()) {
            continue;
        }
        if kind.is_dir() {
            visit(root, &inner, rules, files, depth + 1)?;
        } else if kind.is_file() {
            let data = std::fs::read(&path).map_err(|source| failed(&path, source))?;
            files.push(File {
                name: inner,
                data: without_mark(data).into(),
            });
        }
    }
    Ok(())
}
