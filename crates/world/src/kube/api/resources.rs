//! What the API serves: the resources of Kubernetes from `data/resources.txt`, custom ones from their definitions.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::LazyLock;

use base64::Engine;
use serde_json::Value;
use serde_json::json;
use sha2::Digest;

use crate::kube::api::shape;
use crate::kube::api::shape::Shape;
use crate::kube::store::GroupKind;
use crate::kube::store::Store;

/// The kind that defines custom kinds.
pub(crate) const CRD: GroupKind = GroupKind::of("CustomResourceDefinition.apiextensions.k8s.io");

/// One resource in one version.
#[derive(Debug, Clone)]
pub(crate) struct Resource {
    pub(crate) group: String,
    pub(crate) version: String,
    pub(crate) plural: String,
    pub(crate) singular: String,
    pub(crate) kind: String,
    pub(crate) list_kind: String,
    pub(crate) scope: Scope,
    pub(crate) verbs: Vec<String>,
    pub(crate) short_names: Vec<String>,
    pub(crate) categories: Vec<String>,
    pub(crate) subresources: Vec<Subresource>,
    /// What its objects are kept as.
    pub(crate) stored_as: GroupKind,
    /// What its fields are.
    pub(crate) shape: Arc<Shape>,
    /// What only a custom resource has.
    pub(crate) custom: Option<Custom>,
}

/// What the definition of a custom resource says beyond its names.
#[derive(Debug, Clone)]
pub(crate) struct Custom {
    /// The version's structural schema.
    pub(crate) schema: Value,
    /// Name, type and path of the columns that `kubectl get` prints.
    pub(crate) columns: Vec<Value>,
    /// The paths of the scale subresource.
    pub(crate) scale: Option<Value>,
    /// The version that is named in hashes.
    pub(crate) storage_version: String,
}

/// Whether the objects of a resource live in namespaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    /// They do.
    Namespaced,
    /// They belong to the whole cluster.
    Cluster,
}

/// A part of an object with a path of its own.
#[derive(Debug, Clone)]
pub(crate) struct Subresource {
    pub(crate) name: String,
    /// Group and version of what it takes and gives, when they differ from the resource's.
    pub(crate) group_version: Option<(String, String)>,
    pub(crate) kind: String,
    pub(crate) verbs: Vec<String>,
}

/// Group, version and plural name.
type Place = (String, String, String);

/// The resources that definitions in the cluster add; read again when a definition changed.
#[derive(Debug, Clone, Default)]
pub(crate) struct Customs {
    seen: u64,
    all: BTreeMap<Place, Arc<Resource>>,
}

static BUILT_IN: LazyLock<Vec<Arc<Resource>>> = LazyLock::new(|| {
    include_str!("data/resources.txt")
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| Arc::new(read(line)))
        .collect()
});

/// The built-in resource of a kind; none for a custom kind.
pub(crate) fn of_kind(kind: &GroupKind) -> Option<&'static Arc<Resource>> {
    BUILT_IN.iter().find(|resource| resource.stored_as == *kind)
}

impl Resource {
    /// `apps/v1`, or `v1` in the core group.
    pub(crate) fn api_version(&self) -> String {
        if self.group.is_empty() {
            self.version.clone()
        } else {
            format!("{}/{}", self.group, self.version)
        }
    }

    /// `deployments.apps`, as messages name the resource.
    pub(crate) fn qualified(&self) -> String {
        with_group(&self.plural, &self.group)
    }

    /// `Deployment.apps`, as messages name the kind.
    pub(crate) fn qualified_kind(&self) -> String {
        with_group(&self.kind, &self.group)
    }

    /// The details of a `Status` about one object.
    pub(crate) fn details(&self, name: &str, kind: &str) -> Value {
        let mut details = json!({"kind": kind});
        if !name.is_empty() {
            details["name"] = json!(name);
        }
        if !self.group.is_empty() {
            details["group"] = json!(self.group);
        }
        details
    }

    /// The subresource of that name.
    pub(crate) fn subresource(&self, name: &str) -> Option<&Subresource> {
        self.subresources.iter().find(|subresource| subresource.name == name)
    }

    /// Whether status is written through a path of its own.
    pub(crate) fn has_status(&self) -> bool {
        self.subresource("status").is_some()
    }

    /// The first eight bytes of a hash of the stored version, as discovery shows it.
    pub(crate) fn storage_hash(&self) -> String {
        let version = self
            .custom
            .as_ref()
            .map_or(&self.version, |custom| &custom.storage_version);
        let digest = sha2::Sha256::digest(format!("{}/{version}/{}", self.group, self.kind));
        base64::engine::general_purpose::STANDARD.encode(&digest[..8])
    }
}

fn with_group(name: &str, group: &str) -> String {
    if group.is_empty() {
        name.to_owned()
    } else {
        format!("{name}.{group}")
    }
}

impl Customs {
    /// Reads the definitions again if one changed.
    pub(crate) fn refresh(&mut self, store: &Store) {
        let latest = store.revision_of(&CRD);
        if self.seen == latest {
            return;
        }
        self.seen = latest;
        self.all.clear();
        for definition in store.list(&CRD) {
            for resource in of_definition(definition) {
                let place = (
                    resource.group.clone(),
                    resource.version.clone(),
                    resource.plural.clone(),
                );
                self.all.insert(place, Arc::new(resource));
            }
        }
    }

    /// The resource at a place.
    pub(crate) fn find(&self, group: &str, version: &str, plural: &str) -> Option<Arc<Resource>> {
        let built_in = BUILT_IN
            .iter()
            .find(|resource| resource.plural == plural && resource.group == group && resource.version == version);
        if let Some(resource) = built_in {
            return Some(resource.clone());
        }
        let place = (group.to_owned(), version.to_owned(), plural.to_owned());
        self.all.get(&place).cloned()
    }

    /// Every resource, the built-in ones first.
    pub(crate) fn every(&self) -> impl Iterator<Item = &Arc<Resource>> {
        BUILT_IN.iter().chain(self.all.values())
    }
}

/// The resources that a definition adds: one for each version that it serves, once its names are accepted.
pub(crate) fn of_definition(definition: &Value) -> Vec<Resource> {
    let established = condition(definition, "Established") == Some("True");
    if !established || crate::kube::store::marked(definition) {
        return Vec::new();
    }
    let versions = definition["spec"]["versions"].as_array();
    let versions = versions.into_iter().flatten();
    versions
        .filter(|version| version["served"] == true)
        .map(|version| custom(definition, version))
        .collect()
}

/// The status of one of an object's conditions.
pub(crate) fn condition<'a>(object: &'a Value, name: &str) -> Option<&'a str> {
    let conditions = object["status"]["conditions"].as_array()?;
    let found = conditions.iter().find(|condition| condition["type"] == name)?;
    found["status"].as_str()
}

fn custom(definition: &Value, version: &Value) -> Resource {
    let spec = &definition["spec"];
    let names = &spec["names"];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let texts = |value: &Value| value.as_array().into_iter().flatten().map(text).collect();
    let kind = text(&names["kind"]);
    let group = text(&spec["group"]);
    let schema = version["schema"]["openAPIV3Schema"].clone();
    let scale = version["subresources"].get("scale").cloned();
    let storage = spec["versions"].as_array().into_iter().flatten();
    let storage = storage.clone().find(|version| version["storage"] == true);
    let columns = version["additionalPrinterColumns"].as_array().cloned();
    Resource {
        version: text(&version["name"]),
        plural: text(&names["plural"]),
        singular: text(&names["singular"]),
        list_kind: text(&names["listKind"]),
        scope: if spec["scope"] == "Cluster" {
            Scope::Cluster
        } else {
            Scope::Namespaced
        },
        verbs: verbs("dDglpcuw"),
        short_names: texts(&names["shortNames"]),
        categories: texts(&names["categories"]),
        subresources: custom_subresources(version, &kind),
        stored_as: GroupKind::new(&group, &kind),
        shape: Arc::new(shape::of_schema(&schema)),
        custom: Some(Custom {
            schema,
            columns: columns.unwrap_or_default(),
            scale,
            storage_version: storage.map(|version| text(&version["name"])).unwrap_or_default(),
        }),
        kind,
        group,
    }
}

fn custom_subresources(version: &Value, kind: &str) -> Vec<Subresource> {
    let mut found = Vec::new();
    if version["subresources"].get("status").is_some() {
        found.push(Subresource {
            name: "status".to_owned(),
            group_version: None,
            kind: kind.to_owned(),
            verbs: verbs("gpu"),
        });
    }
    if version["subresources"].get("scale").is_some() {
        found.push(Subresource {
            name: "scale".to_owned(),
            group_version: Some(("autoscaling".to_owned(), "v1".to_owned())),
            kind: "Scale".to_owned(),
            verbs: verbs("gpu"),
        });
    }
    found
}

fn verbs(letters: &str) -> Vec<String> {
    let verb = |letter| match letter {
        'c' => "create",
        'd' => "delete",
        'D' => "deletecollection",
        'g' => "get",
        'l' => "list",
        'p' => "patch",
        'u' => "update",
        _ => "watch",
    };
    letters.chars().map(|letter| verb(letter).to_owned()).collect()
}

/// Reads one line of the table.
fn read(line: &str) -> Resource {
    let mut parts = line.split('|');
    let mut part = || parts.next().expect("a line of the table has six parts");
    let (place, names, letters, short, categories, subresources) = (part(), part(), part(), part(), part(), part());
    let (group, version) = place.split_once('/').unwrap_or(("", place));
    let mut names = names.split(' ');
    let mut name = || names.next().expect("a line of the table has five names").to_owned();
    let (plural, singular, kind, scope, definition) = (name(), name(), name(), name(), name());
    let list = |text: &str| {
        text.split(',')
            .filter(|item| !item.is_empty())
            .map(str::to_owned)
            .collect()
    };
    // Both groups of events show the same objects.
    let storage_group = if kind == "Event" { "" } else { group };
    Resource {
        group: group.to_owned(),
        version: version.to_owned(),
        list_kind: format!("{kind}List"),
        scope: if scope == "Cluster" {
            Scope::Cluster
        } else {
            Scope::Namespaced
        },
        verbs: verbs(letters),
        short_names: list(short),
        categories: list(categories),
        subresources: subresources
            .split(' ')
            .filter(|text| !text.is_empty())
            .map(read_subresource)
            .collect(),
        stored_as: GroupKind::new(storage_group, &kind),
        shape: shape::defined(&definition)
            .cloned()
            .unwrap_or_else(|| Arc::new(Shape::Anything)),
        custom: None,
        plural,
        singular,
        kind,
    }
}

fn read_subresource(text: &str) -> Subresource {
    let (name, rest) = text.split_once('=').expect("a subresource of the table has a kind");
    let (kind, letters) = rest.split_once(':').expect("a subresource of the table has verbs");
    let (group_version, kind) = match kind.rsplit_once('.') {
        Some((group_version, kind)) => {
            let (group, version) = group_version.split_once('/').unwrap_or(("", group_version));
            (Some((group.to_owned(), version.to_owned())), kind)
        }
        None => (None, kind),
    };
    Subresource {
        name: name.to_owned(),
        group_version,
        kind: kind.to_owned(),
        verbs: verbs(letters),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_the_table_can_be_read() {
        assert_eq!(BUILT_IN.len(), 66);
    }

    #[test]
    fn the_storage_hash_is_the_recorded_one() {
        let configmaps = Customs::default().find("", "v1", "configmaps").unwrap();
        assert_eq!(configmaps.storage_hash(), "qFsyl6wFWjQ=");
    }

    #[test]
    fn a_kind_finds_its_resource() {
        let found = of_kind(&GroupKind::of("Deployment.apps")).unwrap();
        assert_eq!(found.qualified(), "deployments.apps");
    }
}
