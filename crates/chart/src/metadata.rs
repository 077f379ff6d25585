//! What a chart says about itself in `Chart.yaml`.

use std::any::Any;
use std::collections::BTreeMap;

use tubectl_yaml::Value as Yaml;

use crate::value::Entries;
use crate::value::List;
use crate::value::Map;
use crate::value::Object;
use crate::value::Sort;
use crate::value::Value;

/// The contents of `Chart.yaml`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Metadata {
    /// The chart's name.
    pub name: String,
    /// The chart's own version.
    pub version: String,
    /// The version of what it installs.
    pub app_version: String,
    /// `v1` or `v2`.
    pub api_version: String,
    /// `application`, `library`, or nothing.
    pub kind: String,
    /// One sentence.
    pub description: String,
    /// The Kubernetes versions it supports; nothing means all.
    pub kube_version: String,
    /// Its home page.
    pub home: String,
    /// A picture.
    pub icon: String,
    /// A condition that enables it, kept for old charts.
    pub condition: String,
    /// Tags, kept for old charts.
    pub tags: String,
    /// Whether it should not be used any more.
    pub deprecated: bool,
    /// Words to find it by.
    pub keywords: Vec<String>,
    /// Where its source is.
    pub sources: Vec<String>,
    /// Who looks after it.
    pub maintainers: Vec<Maintainer>,
    /// Anything else.
    pub annotations: BTreeMap<String, String>,
    /// The charts it needs.
    pub dependencies: Vec<Dependency>,
}

/// A person or a team.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Maintainer {
    /// Who.
    pub name: String,
    /// An address.
    pub email: String,
    /// A page.
    pub url: String,
}

/// A chart that a chart needs.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Dependency {
    /// Its name, or its alias once dependencies are resolved.
    pub name: String,
    /// The versions that will do.
    pub version: String,
    /// Where it comes from.
    pub repository: String,
    /// Paths of values, separated by commas; the first that is a boolean decides.
    pub condition: String,
    /// Names under the value `tags` that enable it.
    pub tags: Vec<String>,
    /// The name it is used under.
    pub alias: String,
    /// Values of it that the parent takes over.
    pub imports: Vec<Import>,
}

/// Values that a parent takes over from a dependency.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Import {
    /// The path in the child.
    pub child: String,
    /// The path in the parent; a dot is its root.
    pub parent: String,
}

impl Metadata {
    pub(crate) fn from_yaml(yaml: &Yaml) -> Self {
        let text = |key: &str| text(yaml.get(key));
        let api_version = text("apiVersion");
        Metadata {
            name: sanitized(&text("name")),
            version: sanitized(&text("version")),
            app_version: sanitized(&text("appVersion")),
            api_version: if api_version.is_empty() {
                "v1".to_owned()
            } else {
                api_version
            },
            kind: sanitized(&text("type")),
            description: sanitized(&text("description")),
            kube_version: sanitized(&text("kubeVersion")),
            home: sanitized(&text("home")),
            icon: sanitized(&text("icon")),
            condition: sanitized(&text("condition")),
            tags: sanitized(&text("tags")),
            deprecated: matches!(yaml.get("deprecated"), Some(Yaml::Bool(true))),
            keywords: texts(yaml.get("keywords")),
            sources: texts(yaml.get("sources")),
            maintainers: list(yaml.get("maintainers"), |item| Maintainer {
                name: self::text(item.get("name")),
                email: self::text(item.get("email")),
                url: self::text(item.get("url")),
            }),
            annotations: yaml
                .get("annotations")
                .and_then(Yaml::as_map)
                .map_or_else(BTreeMap::new, |entries| {
                    entries
                        .iter()
                        .map(|(key, value)| (key.clone(), self::text(Some(value))))
                        .collect()
                }),
            dependencies: dependencies(yaml),
        }
    }
}

/// The dependencies of `Chart.yaml` or of an old `requirements.yaml`.
pub(crate) fn dependencies(yaml: &Yaml) -> Vec<Dependency> {
    list(yaml.get("dependencies"), |item| Dependency {
        name: text(item.get("name")),
        version: text(item.get("version")),
        repository: text(item.get("repository")),
        condition: text(item.get("condition")),
        tags: texts(item.get("tags")),
        alias: text(item.get("alias")),
        imports: list(item.get("import-values"), |import| match import {
            Yaml::String(name) => Import {
                child: format!("exports.{name}"),
                parent: ".".to_owned(),
            },
            _ => Import {
                child: text(import.get("child")),
                parent: text(import.get("parent")),
            },
        }),
    })
}

fn list<T>(yaml: Option<&Yaml>, read: impl Fn(&Yaml) -> T) -> Vec<T> {
    yaml.and_then(Yaml::as_list)
        .map_or_else(Vec::new, |items| items.iter().map(read).collect())
}

fn texts(yaml: Option<&Yaml>) -> Vec<String> {
    list(yaml, |item| text(Some(item)))
}

/// The text of a scalar: versions such as `1.0` are often written without quotes.
fn text(yaml: Option<&Yaml>) -> String {
    match yaml {
        None | Some(Yaml::Null | Yaml::List(_) | Yaml::Map(_)) => String::new(),
        Some(Yaml::String(text)) => text.clone(),
        Some(Yaml::Bool(truth)) => truth.to_string(),
        Some(Yaml::Int(number)) => number.to_string(),
        Some(Yaml::Uint(number)) => number.to_string(),
        Some(Yaml::Float(number)) => tubectl_yaml::format_float(*number),
    }
}

/// Spaces for other white space, nothing for what does not print.
fn sanitized(text: &str) -> String {
    let shown = text
        .chars()
        .map(|character| if character.is_whitespace() { ' ' } else { character });
    shown.filter(|character| !character.is_control()).collect()
}

/// `.Chart` in templates.
pub(crate) struct ChartObject {
    pub(crate) metadata: Metadata,
    pub(crate) is_root: bool,
}

impl ChartObject {
    fn strings(texts: &[String]) -> Value {
        Value::List(List::strings(texts))
    }

    fn annotations(&self) -> Value {
        let entries = self.metadata.annotations.iter();
        let entries: Entries = entries
            .map(|(key, value)| (key.as_str().into(), value.as_str().into()))
            .collect();
        Value::Map(Map::of(Sort::Strings, entries))
    }
}

impl Object for ChartObject {
    fn type_name(&self) -> &'static str {
        "struct { chart.Metadata; IsRoot bool }"
    }

    fn field(&self, name: &str) -> Option<Value> {
        let metadata = &self.metadata;
        Some(match name {
            "Name" => metadata.name.as_str().into(),
            "Home" => metadata.home.as_str().into(),
            "Sources" => ChartObject::strings(&metadata.sources),
            "Version" => metadata.version.as_str().into(),
            "Description" => metadata.description.as_str().into(),
            "Keywords" => ChartObject::strings(&metadata.keywords),
            "Maintainers" => Value::list(metadata.maintainers.iter().cloned().map(Value::object).collect()),
            "Icon" => metadata.icon.as_str().into(),
            "APIVersion" => metadata.api_version.as_str().into(),
            "Condition" => metadata.condition.as_str().into(),
            "Tags" => metadata.tags.as_str().into(),
            "AppVersion" => metadata.app_version.as_str().into(),
            "Deprecated" => Value::Bool(metadata.deprecated),
            "Annotations" => self.annotations(),
            "KubeVersion" => metadata.kube_version.as_str().into(),
            "Dependencies" => Value::list(metadata.dependencies.iter().cloned().map(Value::object).collect()),
            "Type" => metadata.kind.as_str().into(),
            "IsRoot" => Value::Bool(self.is_root),
            _ => return None,
        })
    }

    fn show(&self) -> String {
        let metadata = &self.metadata;
        format!(
            "{{{{{} {} {}}} {}}}",
            metadata.name, metadata.home, metadata.version, self.is_root
        )
    }

    fn plain(&self) -> Value {
        let mut entries = Entries::new();
        let names = [
            ("name", "Name"),
            ("home", "Home"),
            ("sources", "Sources"),
            ("version", "Version"),
            ("description", "Description"),
            ("keywords", "Keywords"),
            ("maintainers", "Maintainers"),
            ("icon", "Icon"),
            ("apiVersion", "APIVersion"),
            ("condition", "Condition"),
            ("tags", "Tags"),
            ("appVersion", "AppVersion"),
            ("deprecated", "Deprecated"),
            ("annotations", "Annotations"),
            ("kubeVersion", "KubeVersion"),
            ("dependencies", "Dependencies"),
            ("type", "Type"),
        ];
        for (key, name) in names {
            if let Some(value) = self.field(name).filter(Value::truth) {
                entries.insert(key.into(), value);
            }
        }
        entries.insert("IsRoot".into(), Value::Bool(self.is_root));
        Value::map(entries)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl Object for Maintainer {
    fn type_name(&self) -> &'static str {
        "*chart.Maintainer"
    }

    fn field(&self, name: &str) -> Option<Value> {
        Some(match name {
            "Name" => self.name.as_str().into(),
            "Email" => self.email.as_str().into(),
            "URL" => self.url.as_str().into(),
            _ => return None,
        })
    }

    fn kind(&self) -> &'static str {
        "ptr"
    }

    fn show(&self) -> String {
        format!("&{{{} {} {}}}", self.name, self.email, self.url)
    }

    fn plain(&self) -> Value {
        given(&[("name", &self.name), ("email", &self.email), ("url", &self.url)])
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl Object for Dependency {
    fn type_name(&self) -> &'static str {
        "*chart.Dependency"
    }

    fn field(&self, name: &str) -> Option<Value> {
        Some(match name {
            "Name" => self.name.as_str().into(),
            "Version" => self.version.as_str().into(),
            "Repository" => self.repository.as_str().into(),
            "Condition" => self.condition.as_str().into(),
            "Tags" => Value::List(List::strings(&self.tags)),
            // Those that are not enabled are gone before templates run.
            "Enabled" => Value::Bool(true),
            "ImportValues" => Value::list(self.imports.iter().map(Import::value).collect()),
            "Alias" => self.alias.as_str().into(),
            _ => return None,
        })
    }

    fn kind(&self) -> &'static str {
        "ptr"
    }

    fn show(&self) -> String {
        format!("&{{{} {} {}}}", self.name, self.version, self.repository)
    }

    fn plain(&self) -> Value {
        let plain = given(&[
            ("name", &self.name),
            ("version", &self.version),
            ("repository", &self.repository),
            ("condition", &self.condition),
            ("alias", &self.alias),
        ]);
        if let Value::Map(map) = &plain {
            map.insert("enabled", Value::Bool(true));
            if !self.tags.is_empty() {
                map.insert("tags", Value::List(List::strings(&self.tags)));
            }
            if !self.imports.is_empty() {
                map.insert(
                    "import-values",
                    Value::list(self.imports.iter().map(Import::value).collect()),
                );
            }
        }
        plain
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl Import {
    fn value(&self) -> Value {
        given(&[("child", &self.child), ("parent", &self.parent)])
    }
}

fn given(fields: &[(&str, &String)]) -> Value {
    let fields = fields.iter().filter(|(_, value)| !value.is_empty());
    Value::map(
        fields
            .map(|(key, value)| ((*key).into(), value.as_str().into()))
            .collect(),
    )
}
