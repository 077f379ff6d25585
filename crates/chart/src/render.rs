//! From a chart and values to objects, hooks and notes.

use std::rc::Rc;

use jiff::Timestamp;
use tubectl_yaml::Value as Yaml;

use crate::convert::from_user;
use crate::dependencies;
use crate::eval::Engine;
use crate::eval::NO_VALUE;
use crate::funcs::Functions;
use crate::funcs::Trouble;
use crate::load::Chart;
use crate::load::File;
use crate::manifest;
use crate::manifest::Hook;
use crate::manifest::Manifest;
use crate::metadata::ChartObject;
use crate::objects::Capabilities;
use crate::objects::CapabilitiesObject;
use crate::objects::Files;
use crate::parse::parse;
use crate::random::Random;
use crate::report::Error;
use crate::report::TemplateError;
use crate::semver::Constraint;
use crate::semver::Version;
use crate::value::Entries;
use crate::value::Map;
use crate::value::Sort;
use crate::value::Value;
use crate::values::Values;
use crate::values::coalesce::Nulls;
use crate::values::coalesce::coalesce;

/// Templates may nest three thousand deep; a level needs some kilobytes. Only what is used is ever touched.
const STACK: usize = 512 << 20;

/// What a release is called and what happens to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Release {
    /// Its name.
    pub name: String,
    /// The namespace it lives in.
    pub namespace: String,
    /// Which revision this will be; the first is 1.
    pub revision: u32,
    /// What is being done.
    pub action: Action,
}

/// What is being done to a release.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// It is new.
    Install,
    /// It is there already.
    Upgrade,
}

/// Everything besides chart and values that a rendering depends on. The same options give the same bytes.
#[derive(Clone, Debug)]
pub struct Options {
    /// The release.
    pub release: Release,
    /// What the cluster can do.
    pub capabilities: Capabilities,
    /// What `lookup` finds.
    pub lookup: Lookup,
    /// What random functions start from.
    pub seed: u64,
    /// What `now` says.
    pub now: Timestamp,
}

impl Options {
    /// Options for the first installation of a release, with nothing known of a cluster.
    pub fn new(name: &str, namespace: &str) -> Self {
        Options {
            release: Release {
                name: name.to_owned(),
                namespace: namespace.to_owned(),
                revision: 1,
                action: Action::Install,
            },
            capabilities: Capabilities::default(),
            lookup: Lookup::default(),
            seed: 0,
            now: Timestamp::UNIX_EPOCH,
        }
    }
}

/// The objects of a cluster that `lookup` can find.
#[derive(Clone, Debug, Default)]
pub struct Lookup {
    objects: Vec<Yaml>,
}

impl Lookup {
    /// Takes whole objects, with `apiVersion`, `kind` and `metadata`.
    pub fn new(objects: impl IntoIterator<Item = Yaml>) -> Self {
        Lookup {
            objects: objects.into_iter().collect(),
        }
    }

    /// One object, or without a name a list of all in a namespace, or in all of them.
    pub(crate) fn find(&self, version: &str, kind: &str, namespace: &str, name: &str) -> Option<Yaml> {
        let is = |object: &Yaml, path: &[&str], wanted: &str| object.at(path).and_then(Yaml::as_str) == Some(wanted);
        let found = self.objects.iter().filter(|object| {
            is(object, &["apiVersion"], version)
                && is(object, &["kind"], kind)
                && (namespace.is_empty() || is(object, &["metadata", "namespace"], namespace))
                && (name.is_empty() || is(object, &["metadata", "name"], name))
        });
        let mut found = found.cloned();
        if !name.is_empty() {
            return found.next();
        }
        let items: Vec<Yaml> = found.collect();
        let list = [
            ("apiVersion".to_owned(), version.into()),
            ("kind".to_owned(), format!("{kind}List").into()),
            ("items".to_owned(), Yaml::List(items)),
        ];
        Some(Yaml::Map(list.into()))
    }
}

/// A rendered chart.
#[derive(Clone, Debug, PartialEq)]
pub struct Rendered {
    /// The objects, in the order of installation.
    pub manifests: Vec<Manifest>,
    /// The hooks, in the order of installation.
    pub hooks: Vec<Hook>,
    /// The files under `crds/`, which are never templates.
    pub crds: Vec<File>,
    /// What to tell the user afterwards.
    pub notes: Option<String>,
    /// The values that the templates saw.
    pub values: Yaml,
}

impl Rendered {
    /// The objects as one text, each after a line that names its template.
    pub fn manifest(&self) -> String {
        manifest::joined(&self.manifests)
    }

    /// What `helm template` prints: the objects, then the hooks.
    pub fn text(&self) -> String {
        let mut text = self.manifest().trim().to_owned();
        text.push('\n');
        let hooks: Vec<Manifest> = self.hooks.iter().map(|hook| hook.manifest.clone()).collect();
        text.push_str(&manifest::joined(&hooks));
        text
    }
}

/// Renders a chart.
///
/// # Errors
/// If values do not fit, a template fails, or what it renders is not YAML.
pub fn render(chart: &Chart, values: &Values, options: &Options) -> Result<Rendered, Error> {
    // Templates nest as deep as charts like; the caller's stack may be small.
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(STACK);
        match thread.spawn_scoped(scope, || render_here(chart, values, options)) {
            Ok(thread) => thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
            // No thread to be had: the caller's stack is enough for all but the strangest charts.
            Err(_) => render_here(chart, values, options),
        }
    })
}

fn render_here(chart: &Chart, values: &Values, options: &Options) -> Result<Rendered, Error> {
    check(chart, options)?;
    let missing = dependencies::missing(chart);
    if !missing.is_empty() {
        return Err(Error::Missing {
            names: missing.into_iter().map(str::to_owned).collect(),
        });
    }
    let mut chart = chart.clone();
    dependencies::process(&mut chart, values.table())?;
    let values = Yaml::Map(coalesce(&chart, values.table(), Nulls::Delete)?);
    let files = run(&chart, &values, options)?;
    let notes_of_root = format!("{}/templates/NOTES.txt", chart.name());
    let mut notes = None;
    let mut rest = Vec::with_capacity(files.len());
    for (name, text) in files {
        if name == notes_of_root {
            notes = Some(text);
        } else if !name.ends_with("NOTES.txt") && !text.trim().is_empty() {
            rest.push((name, text));
        }
    }
    let (manifests, hooks) = manifest::sort(rest).map_err(|(file, reason)| Error::Yaml { file, reason })?;
    Ok(Rendered {
        manifests,
        hooks,
        crds: chart.crds(),
        notes,
        values,
    })
}

fn check(chart: &Chart, options: &Options) -> Result<(), Error> {
    if chart.metadata.kind == "library" {
        return Err(Error::Library);
    }
    let range = &chart.metadata.kube_version;
    if range.is_empty() {
        return Ok(());
    }
    let version = &options.capabilities.kube_version;
    let allowed = match (Constraint::parse(range), Version::parse(version)) {
        (Ok(range), Ok(version)) => range.allows(&version),
        _ => false,
    };
    if allowed {
        Ok(())
    } else {
        Err(Error::KubeVersion {
            range: range.clone(),
            version: version.clone(),
        })
    }
}

/// A template file and what it sees.
struct Page {
    name: String,
    source: String,
    folder: String,
    context: Map,
}

/// Runs all templates of a chart and of those below it.
fn run(chart: &Chart, values: &Yaml, options: &Options) -> Result<Vec<(String, String)>, Error> {
    let Value::Map(values) = from_user(values) else {
        return Ok(Vec::new());
    };
    let release = &options.release;
    let entries: [(&str, Value); 6] = [
        ("Name", release.name.as_str().into()),
        ("Namespace", release.namespace.as_str().into()),
        ("IsUpgrade", Value::Bool(release.action == Action::Upgrade)),
        ("IsInstall", Value::Bool(release.action == Action::Install)),
        ("Revision", Value::Int(release.revision.into())),
        ("Service", "Helm".into()),
    ];
    let shared = Shared {
        release: Value::map(entries.into_iter().map(|(key, value)| (key.into(), value)).collect()),
        capabilities: Value::object(CapabilitiesObject {
            capabilities: options.capabilities.clone(),
        }),
    };
    let mut pages = Vec::new();
    shared.collect(chart, None, values.retyped(Sort::Values), &mut pages);
    // The deepest come first, so that parents override what their dependencies define.
    let depth = |page: &Page| page.name.bytes().filter(|byte| *byte == b'/').count();
    pages.sort_by(|one, other| (depth(other), &other.name).cmp(&(depth(one), &one.name)));

    let functions = Functions::helm();
    let mut engine = Engine::new(functions, &options.lookup, Random::new(options.seed), options.now);
    for page in &pages {
        let trees = parse(&page.name, &page.source, functions).map_err(|error| Error::Parse {
            file: error.file.to_string(),
            line: error.line,
            message: error.message,
        })?;
        for tree in trees {
            engine.define(Rc::new(tree));
        }
    }
    let mut rendered = Vec::with_capacity(pages.len());
    for page in pages {
        if page.name.rsplit('/').next().is_some_and(|base| base.starts_with('_')) {
            continue;
        }
        let template = [("Name", page.name.as_str()), ("BasePath", page.folder.as_str())];
        let template: Entries = template
            .into_iter()
            .map(|(key, value)| (key.into(), value.into()))
            .collect();
        page.context
            .insert("Template", Value::Map(Map::of(Sort::Values, template)));
        let mut out = String::with_capacity(page.source.len());
        engine
            .execute(&page.name, &Value::Map(page.context), &mut out)
            .map_err(|trouble| match trouble {
                Trouble::Nested { fault, .. } => Error::Template(Box::new(TemplateError::new(fault))),
                Trouble::Message(message) | Trouble::Refused(message) => Error::Parse {
                    file: page.name.clone(),
                    line: 0,
                    message,
                },
            })?;
        if out.contains(NO_VALUE) {
            out = out.replace(NO_VALUE, "");
        }
        rendered.push((page.name, out));
    }
    Ok(rendered)
}

/// What the templates of all charts see alike.
struct Shared {
    release: Value,
    capabilities: Value,
}

impl Shared {
    /// Collects the templates of a chart and of those below it, and returns what they see.
    fn collect(&self, chart: &Chart, parent: Option<&str>, values: Map, pages: &mut Vec<Page>) -> Map {
        let path = match parent {
            None => chart.name().to_owned(),
            Some(parent) => format!("{parent}/charts/{}", chart.name()),
        };
        let mut below = Entries::new();
        for dependency in &chart.dependencies {
            let inner = match values.get(dependency.name()) {
                Some(Value::Map(inner)) => inner.retyped(Sort::Values),
                _ => Map::of(Sort::Values, Entries::new()),
            };
            let context = self.collect(dependency, Some(&path), inner, pages);
            below.insert(dependency.name().into(), Value::Map(context.retyped(Sort::Any)));
        }
        let about = ChartObject {
            metadata: chart.metadata.clone(),
            is_root: parent.is_none(),
        };
        let entries: [(&str, Value); 6] = [
            ("Chart", Value::object(about)),
            ("Files", Value::object(Files::new(&chart.files))),
            ("Release", self.release.clone()),
            ("Capabilities", self.capabilities.clone()),
            ("Values", Value::Map(values)),
            ("Subcharts", Value::map(below)),
        ];
        let entries = entries.into_iter().map(|(key, value)| (key.into(), value)).collect();
        let context = Map::of(Sort::Values, entries);
        for template in &chart.templates {
            let base = template.name.rsplit('/').next().unwrap_or_default();
            // A library only lends its definitions.
            if chart.metadata.kind == "library" && !base.starts_with('_') {
                continue;
            }
            pages.push(Page {
                name: format!("{path}/{}", template.name),
                source: String::from_utf8_lossy(&template.data).into_owned(),
                folder: format!("{path}/templates"),
                context: context.clone(),
            });
        }
        context
    }
}
