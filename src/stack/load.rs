//! From an argument to a stack: which files are meant, what their variables are, and what they come to.

use std::collections::BTreeMap;

use camino::Utf8Path;
use camino::Utf8PathBuf;
use thiserror::Error;

use crate::error::Hint;
use crate::error::closest;
use crate::graph::Graph;
use crate::graph::GraphError;
use crate::stack::Place;
use crate::stack::Stack;
use crate::stack::blocks::Blocks;
use crate::stack::blocks::REQUIRES;
use crate::stack::blocks::load_balancer::LoadBalancer;
use crate::stack::declare;
use crate::stack::declare::Declared as _;
use crate::stack::declare::Fields;
use crate::stack::declare::Reader;
use crate::stack::declare::declared;
use crate::stack::declare::listed;
use crate::stack::demo;
use crate::stack::demo::Demo;
use crate::stack::file::File;
use crate::stack::file::Key;
use crate::stack::file::Node;
use crate::stack::names::Site;
use crate::stack::problem::Problem;
use crate::stack::problem::Problems;
use crate::stack::reference::Scope;
use crate::stack::release;
use crate::stack::release::Release;
use crate::stack::shipped;

/// The stack that is meant where none is named and none lies in the folder.
const DEFAULT: &str = "tube";
const STACK_FILE: &str = "stack.yaml";
const DEMO_FILE: &str = "demo.yaml";
/// The cluster carries the name, and EKS takes no longer one that also fits into a label.
const LONGEST_NAME: usize = 63;

/// The files of one stack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Files {
    stack: File,
    demo: Option<File>,
    // What was wrong with their bytes.
    problems: Vec<Problem>,
}

/// What the user sets: variables of the stack by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// Name to value.
    pub variables: BTreeMap<String, String>,
}

declared! {
    /// A value that whoever runs the stack may set.
    pub struct Variable {
        /// What it is when nobody sets it.
        pub default: String,
        /// What it is for.
        pub about: String = String::new(),
    }
}

/// Why there is no stack.
#[derive(Debug, Error)]
pub enum LoadError {
    /// No stack has that name.
    #[error("there is no stack `{name}`")]
    UnknownStack {
        /// The name.
        name: String,
        /// A shipped stack of nearly that name.
        closest: Option<String>,
    },
    /// A file cannot be read.
    #[error("`{path}` cannot be read")]
    Unreadable {
        /// Its path.
        path: Utf8PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A setting is not `name=value`.
    #[error("`{0}` sets no variable")]
    NotASetting(String),
    /// The stack has no variable of that name.
    #[error("the stack `{stack}` has no variable `{name}`")]
    UnknownVariable {
        /// The stack.
        stack: String,
        /// The name.
        name: String,
        /// A variable of nearly that name.
        closest: Option<String>,
    },
    /// The stack is of one region, and another is asked for.
    #[error("the stack's region is `{is}`, and `{asked}` is asked for")]
    OtherRegion {
        /// The stack's.
        is: String,
        /// The other.
        asked: String,
    },
    /// The files have mistakes.
    #[error("{count}\n\n{0}", count = counted(.0))]
    Problems(Problems),
}

impl Hint for LoadError {
    fn hints(&self) -> Vec<String> {
        match self {
            Self::UnknownStack {
                closest: Some(name), ..
            }
            | Self::UnknownVariable {
                closest: Some(name), ..
            } => vec![format!("did you mean `{name}`?")],
            Self::UnknownStack { closest: None, .. } => {
                let names: Vec<&str> = shipped::stacks().into_iter().collect();
                vec![format!(
                    "shipped are {}; a path begins with `./` or `/`",
                    listed(&names)
                )]
            }
            Self::Unreadable { .. } => vec!["check the path, and that you may read it".to_owned()],
            Self::NotASetting(_) => vec!["write it like `--var region=us-east-1`".to_owned()],
            Self::UnknownVariable { closest: None, .. } => {
                vec!["declare it under `variables` in stack.yaml".to_owned()]
            }
            Self::OtherRegion { asked, .. } => vec![
                format!("set the variable that `region` of stack.yaml refers to: `--var region={asked}`"),
                "where `region` is no variable, write another into stack.yaml".to_owned(),
            ],
            Self::Problems(problems) => problems.hints(),
        }
    }
}

fn counted(problems: &Problems) -> String {
    match problems.iter().count() {
        1 => "one mistake".to_owned(),
        count => format!("{count} mistakes"),
    }
}

impl Settings {
    /// The settings of files, and of `name=value` texts, which win.
    pub fn read(files: &[Utf8PathBuf], texts: &[String]) -> Result<Self, LoadError> {
        let mut variables = BTreeMap::new();
        for path in files {
            variables.extend(Self::of_file(path)?);
        }
        for text in texts {
            let (name, value) = text
                .split_once('=')
                .ok_or_else(|| LoadError::NotASetting(text.clone()))?;
            variables.insert(name.trim().to_owned(), value.to_owned());
        }
        Ok(Self { variables })
    }

    fn of_file(path: &Utf8Path) -> Result<BTreeMap<String, String>, LoadError> {
        let (file, mut problems) = File::new(path.as_str(), &bytes(path)?);
        let (tree, mistakes) = file.tree();
        problems.extend(mistakes);
        let reader = Reader::new(&file);
        let key = Key {
            text: path.to_string(),
            at: file.beginning(),
        };
        let variables = tree.and_then(|tree| BTreeMap::read(&reader, &key, &tree));
        problems.extend(reader.into_problems());
        match (Problems::of(problems, &[&file]), variables) {
            (None, Some(variables)) => Ok(variables),
            (None, None) => Ok(BTreeMap::new()),
            (Some(problems), _) => Err(LoadError::Problems(problems)),
        }
    }
}

/// The files that are meant: a shipped stack's name, or the path of a folder or of its `stack.yaml`; without an
/// argument the folder itself where it has a `stack.yaml`, else the tube stack.
pub fn find(argument: Option<&str>, folder: &Utf8Path) -> Result<Files, LoadError> {
    match argument {
        None if folder.join(STACK_FILE).is_file() => Files::of_folder(Utf8Path::new(""), folder),
        None => Files::shipped(DEFAULT),
        Some(name) if is_path(name) => {
            let shown = Utf8Path::new(name.strip_suffix(STACK_FILE).unwrap_or(name));
            Files::of_folder(shown, &folder.join(shown))
        }
        Some(name) => Files::shipped(name),
    }
}

fn is_path(argument: &str) -> bool {
    argument.contains(['/', '\\']) || argument.starts_with('.') || argument == STACK_FILE
}

impl Files {
    /// Files that are at hand.
    pub fn of(stack: (&str, &[u8]), demo: Option<(&str, &[u8])>) -> Self {
        let (stack, mut problems) = File::new(stack.0, stack.1);
        let demo = demo.map(|(path, bytes)| {
            let (file, mistakes) = File::new(path, bytes);
            problems.extend(mistakes);
            file
        });
        Self { stack, demo, problems }
    }

    fn shipped(name: &str) -> Result<Self, LoadError> {
        let Some(stack) = shipped::stack_file(name, STACK_FILE) else {
            return Err(LoadError::UnknownStack {
                name: name.to_owned(),
                closest: closest(name, shipped::stacks().into_iter()),
            });
        };
        let path = |file: &str| format!("stacks/{name}/{file}");
        let demo = shipped::stack_file(name, DEMO_FILE).map(|bytes| (path(DEMO_FILE), bytes));
        let demo = demo.as_ref().map(|(path, bytes)| (path.as_str(), *bytes));
        Ok(Self::of((&path(STACK_FILE), stack), demo))
    }

    fn of_folder(shown: &Utf8Path, folder: &Utf8Path) -> Result<Self, LoadError> {
        let stack = bytes(&folder.join(STACK_FILE))?;
        let demo = folder.join(DEMO_FILE);
        let demo = demo.is_file().then(|| bytes(&demo)).transpose()?;
        let demo_path = shown.join(DEMO_FILE);
        let demo = demo.as_ref().map(|bytes| (demo_path.as_str(), bytes.as_slice()));
        Ok(Self::of((shown.join(STACK_FILE).as_str(), &stack), demo))
    }
}

fn bytes(path: &Utf8Path) -> Result<Vec<u8>, LoadError> {
    fs_err::read(path).map_err(|source| LoadError::Unreadable {
        path: path.to_owned(),
        source,
    })
}

/// The region that the stack asks for, before anything is known of the place: it says where to ask.
pub fn region(files: &Files, settings: &Settings) -> Result<String, LoadError> {
    text(files, settings, "region")
}

/// What the stack is called, wherever it stands.
pub fn name(files: &Files, settings: &Settings) -> Result<String, LoadError> {
    text(files, settings, "stack")
}

/// A text at the top of the stack's file, with variables filled in.
fn text(files: &Files, settings: &Settings, field: &str) -> Result<String, LoadError> {
    let reader = Reader::new(&files.stack);
    let mut problems = files.problems.clone();
    let (tree, mistakes) = files.stack.tree();
    problems.extend(mistakes);
    let mut found = None;
    if let Some(mut tree) = tree {
        let variables = variables(&reader, &tree, settings)?;
        Scope::of(&tree, variables).fill(&reader, &mut tree);
        found = tree.get(field).and_then(Node::text).map(str::to_owned);
        if found.is_none() {
            Fields::of(&reader, &top(&files.stack), &tree, TOP).and_then(|fields| fields.required::<String>(field));
        }
    }
    problems.extend(reader.into_problems());
    match (found, Problems::of(problems, &[&files.stack])) {
        (Some(found), _) => Ok(found),
        (None, Some(problems)) => Err(LoadError::Problems(problems)),
        (None, None) => unreachable!("a text that cannot be read is a problem"),
    }
}

/// The settings with which the stack's region is this one: they set the variable that its `region` is.
pub fn in_region(files: &Files, mut settings: Settings, asked: &str) -> Result<Settings, LoadError> {
    let is = region(files, &settings)?;
    if is == asked {
        return Ok(settings);
    }
    let (tree, _) = files.stack.tree();
    let written = tree.as_ref().and_then(|tree| tree.get("region")).and_then(Node::text);
    let variable = written.and_then(|text| text.strip_prefix("${var.")?.strip_suffix('}'));
    match variable.filter(|name| !settings.variables.contains_key(*name)) {
        Some(name) => {
            settings.variables.insert(name.to_owned(), asked.to_owned());
            Ok(settings)
        }
        None => Err(LoadError::OtherRegion {
            is,
            asked: asked.to_owned(),
        }),
    }
}

/// The stack of these files in that place; where the files have mistakes, all of them.
pub fn load(files: &Files, settings: &Settings, place: &Place) -> Result<Stack, LoadError> {
    let reader = Reader::new(&files.stack);
    let mut problems = files.problems.clone();
    let (tree, mistakes) = files.stack.tree();
    problems.extend(mistakes);
    let stack = match tree {
        Some(tree) => {
            let variables = variables(&reader, &tree, settings)?;
            read(&reader, &files.stack, tree, variables, place)
        }
        None => None,
    };
    problems.extend(reader.into_problems());
    let mut demo = None;
    if let Some(file) = &files.demo {
        let (read, mistakes) = demo::read(file);
        problems.extend(mistakes);
        demo = read;
    }
    let all: Vec<&File> = [&files.stack].into_iter().chain(&files.demo).collect();
    if let Some(problems) = Problems::of(problems, &all) {
        return Err(LoadError::Problems(problems));
    }
    let stack = stack.expect("a stack that cannot be read has problems");
    Ok(Stack { demo, ..stack })
}

/// What a stack's file may hold.
pub(crate) const TOP: &[&str] = &["stack", "about", "region", "variables", "blocks", "charts", "workloads"];

fn top(file: &File) -> Key {
    Key {
        text: file.path.clone(),
        at: file.beginning(),
    }
}

/// What each variable is; a setting of one that the stack does not have is an error.
fn variables(reader: &Reader<'_>, tree: &Node, settings: &Settings) -> Result<BTreeMap<String, String>, LoadError> {
    let declared = tree.get("variables").map(Node::entries).unwrap_or_default();
    let names = || declared.iter().map(|(key, _)| key.text.as_str());
    if let Some(name) = settings
        .variables
        .keys()
        .find(|name| names().all(|known| known != name.as_str()))
    {
        return Err(LoadError::UnknownVariable {
            stack: tree.get("stack").and_then(Node::text).unwrap_or("?").to_owned(),
            name: name.clone(),
            closest: closest(name, names()),
        });
    }
    let mut variables = BTreeMap::new();
    for (key, node) in declared {
        let variable = Variable::read(reader, key, node);
        let set = settings.variables.get(&key.text).cloned();
        // One with a mistake still has a name: what refers to it makes no mistake.
        let value = set
            .or_else(|| variable.map(|variable| variable.default))
            .unwrap_or_default();
        variables.insert(key.text.clone(), value);
    }
    Ok(variables)
}

fn read(
    reader: &Reader<'_>,
    file: &File,
    mut tree: Node,
    variables: BTreeMap<String, String>,
    place: &Place,
) -> Option<Stack> {
    Scope::of(&tree, variables.clone()).fill(reader, &mut tree);
    release::check(reader, &tree);
    let top = top(file);
    let fields = Fields::of(reader, &top, &tree, TOP)?;
    let name = fields.required::<declare::Placed<String>>("stack");
    let about = fields.optional("about", String::new);
    let region = fields.required::<String>("region");
    let blocks = fields.required::<Blocks>("blocks");
    let charts = fields.optional("charts", BTreeMap::new);
    let workloads = fields.optional("workloads", BTreeMap::new);
    if let Some(name) = &name {
        check_name(reader, name);
    }
    check_blocks(reader, &tree, blocks.as_ref(), place);
    let releases = release::Declared {
        charts: charts?,
        workloads: workloads?,
    };
    let (name, blocks) = (name?.value, blocks?);
    if reader.has_problems() {
        return None;
    }
    let expansions = blocks.expand(&Site { stack: &name, place });
    let releases = releases.expand(&tree, &expansions);
    let resources = expansions
        .into_values()
        .flat_map(|expansion| expansion.resources)
        .collect();
    let stack = Stack {
        name,
        about: about?,
        region: region?,
        variables,
        resources,
        releases,
        demo: None::<Demo>,
        file: file.clone(),
        tree,
    };
    check_order(reader, &stack);
    Some(stack)
}

fn check_name(reader: &Reader<'_>, name: &declare::Placed<String>) {
    let text = &name.value;
    let fits = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '-';
    let begins = text.chars().next().is_some_and(|letter| letter.is_ascii_lowercase());
    if text.len() > LONGEST_NAME || !begins || !text.chars().all(fits) || text.ends_with('-') {
        let hint = format!("use at most {LONGEST_NAME} lower-case letters, digits and hyphens, a letter first");
        reader.report(name.at, format!("`{text}` cannot name a stack"), Some(hint));
    }
}

/// What is wrong with blocks beyond their fields: what they miss, and what does not fit.
fn check_blocks(reader: &Reader<'_>, tree: &Node, blocks: Option<&Blocks>, place: &Place) {
    for (block, requires) in REQUIRES {
        let Some((key, _)) = tree.at_path(&["blocks", block]) else {
            continue;
        };
        for required in requires
            .iter()
            .filter(|required| tree.at_path(&["blocks", required]).is_none())
        {
            let message = format!("`{block}` cannot be without the block `{required}`");
            reader.report(key.at, message, Some(format!("add `{required}` under `blocks`")));
        }
    }
    let Some(blocks) = blocks else {
        return;
    };
    for (at, message, hint) in blocks.network.iter().flat_map(|network| network.problems(place)) {
        reader.report(at, message, Some(hint));
    }
    if let Some((at, message, hint)) = blocks.load_balancer.as_ref().and_then(LoadBalancer::problem) {
        reader.report(at, message, Some(hint));
    }
    if let Some(days) = blocks.key.as_ref().map(|key| &key.delete_after_days)
        && !(7..=30).contains(&days.value)
    {
        let message = format!("AWS cannot wait {} days before it deletes a key", days.value);
        reader.report(days.at, message, Some("choose 7 to 30 days".to_owned()));
    }
    if let (Some(images), Some(registry)) = (tree.at_path(&["blocks", "images"]), &blocks.registry) {
        for (key, _) in images.1.entries() {
            if !registry.repositories.contains(&key.text) {
                let hint = "add it to `repositories` of `registry`".to_owned();
                reader.report(
                    key.at,
                    format!("the image `{}` has no repository", key.text),
                    Some(hint),
                );
            }
        }
    }
}

/// What waits for itself cannot begin.
fn check_order(reader: &Reader<'_>, stack: &Stack) {
    let resources = stack
        .resources
        .iter()
        .map(|resource| (resource.id.clone(), resource.dependencies()));
    let releases = stack
        .releases
        .iter()
        .map(|release| (release::end(&release.name), release.needs.clone()));
    let mut dependencies = BTreeMap::new();
    for (id, needs) in resources.chain(releases) {
        if dependencies.insert(id.clone(), needs).is_some() {
            let error = GraphError::Twice(id);
            report_order(reader, stack, &error);
        }
    }
    if let Err(error) = Graph::from_dependencies(dependencies) {
        report_order(reader, stack, &error);
    }
}

fn report_order(reader: &Reader<'_>, stack: &Stack, error: &GraphError) {
    let of_release = |release: &&Release| match error {
        GraphError::Cycle(ids) => ids.contains(&release::end(&release.name)),
        GraphError::UnknownDependency { from, .. } => *from == release::end(&release.name),
        GraphError::Twice(id) => *id == release::end(&release.name),
    };
    let blocks = stack.tree.entry("blocks").map(|(key, _)| key.at);
    let at = stack
        .releases
        .iter()
        .find(of_release)
        .map(|release| release.at)
        .or(blocks);
    reader.report(
        at.unwrap_or(stack.tree.at),
        error.to_string(),
        error.hints().into_iter().next(),
    );
}
