//! How objects leave the server: whole, as metadata only, or as rows of a table; one by one, or as lists in pages.

use std::sync::Arc;

use base64::Engine;
use jiff::Timestamp;
use serde::Serialize;
use serde::Serializer;
use serde::ser::SerializeMap;
use serde_json::Value;
use serde_json::json;

use crate::kube::api::resources::Resource;
use crate::kube::api::select::Selection;
use crate::kube::api::status::Failure;
use crate::kube::api::table;
use crate::kube::api::versions;
use crate::kube::store::Name;

/// The form in which a client wants objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Form {
    /// As they are.
    Whole,
    /// Their metadata.
    Metadata,
    /// What `kubectl get` prints; whole objects beside the cells or their metadata only.
    Table(Included),
}

/// What comes with the cells of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Included {
    Nothing,
    Metadata,
    Object,
}

impl Form {
    /// Reads what a client accepts.
    pub(crate) fn of(accept: &str, include: &str) -> Self {
        for clause in accept.split(',') {
            if clause.contains("as=Table") {
                return Self::Table(match include {
                    "None" => Included::Nothing,
                    "Object" => Included::Object,
                    _ => Included::Metadata,
                });
            }
            if clause.contains("as=PartialObjectMetadata") {
                return Self::Metadata;
            }
            if clause.trim().starts_with("application/json") {
                return Self::Whole;
            }
        }
        Self::Whole
    }
}

/// An object as it is written: kind and version first, or left out.
pub(crate) struct Written<'a> {
    object: &'a Value,
    named: Option<(&'a str, String)>,
}

impl<'a> Written<'a> {
    /// An object that says what it is.
    pub(crate) fn named(object: &'a Value, resource: &'a Resource) -> Self {
        Self {
            object,
            named: Some((&resource.kind, resource.api_version())),
        }
    }

    /// An item of a list: only custom ones say what they are.
    fn item(object: &'a Value, resource: &'a Resource) -> Self {
        Self {
            object,
            named: resource
                .custom
                .is_some()
                .then(|| (resource.kind.as_str(), resource.api_version())),
        }
    }
}

impl Serialize for Written<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        if let Some((kind, version)) = &self.named {
            map.serialize_entry("kind", kind)?;
            map.serialize_entry("apiVersion", version)?;
        }
        let fields = self.object.as_object().into_iter().flatten();
        for (name, value) in fields.filter(|(name, _)| *name != "kind" && *name != "apiVersion") {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

/// The metadata of an object alone.
#[derive(Serialize)]
pub(crate) struct MetadataOnly<'a> {
    kind: &'static str,
    #[serde(rename = "apiVersion")]
    api_version: &'static str,
    metadata: &'a Value,
}

impl<'a> MetadataOnly<'a> {
    pub(crate) fn of(object: &'a Value) -> Self {
        Self {
            kind: "PartialObjectMetadata",
            api_version: "meta.k8s.io/v1",
            metadata: &object["metadata"],
        }
    }
}

/// One object in the form that the client wants.
pub(crate) fn one(resource: &Resource, object: &Value, form: Form, now: Timestamp) -> Vec<u8> {
    let object = versions::shown(resource, object);
    let bytes = match form {
        Form::Whole => serde_json::to_vec(&Written::named(&object, resource)),
        Form::Metadata => serde_json::to_vec(&MetadataOnly::of(&object)),
        Form::Table(included) => {
            let metadata = json!({"resourceVersion": object["metadata"]["resourceVersion"]});
            let rows = std::iter::once(&*object);
            serde_json::to_vec(&table::of(resource, rows, &metadata, included, now))
        }
    };
    bytes.expect("an object has string keys only")
}

/// A page of a list, and what it says about the rest.
pub(crate) struct Page<'a> {
    pub(crate) objects: Vec<&'a Arc<Value>>,
    pub(crate) metadata: Value,
}

/// What a client asks of a list.
#[derive(Debug, Clone, Default)]
pub(crate) struct Paging {
    pub(crate) limit: usize,
    pub(crate) token: String,
}

/// Cuts one page out of what is selected.
pub(crate) fn page<'a>(
    objects: impl Iterator<Item = &'a Arc<Value>>,
    selection: &Selection,
    paging: &Paging,
    namespaced_list: bool,
    revision: u64,
) -> Result<Page<'a>, Failure> {
    let position = read_token(&paging.token)?;
    let key = |object: &Value| {
        let name = Name::of(object);
        if namespaced_list || name.namespace.is_empty() {
            format!("/{}\0", name.name)
        } else {
            format!("/{}/{}\0", name.namespace, name.name)
        }
    };
    let (revision, start) = position.unwrap_or((revision, String::new()));
    let mut rest = objects
        .filter(|object| selection.is_everything() || selection.matches(object))
        .filter(|object| start.is_empty() || key(object) > start);
    let mut metadata = json!({"resourceVersion": revision.to_string()});
    if paging.limit == 0 {
        return Ok(Page {
            objects: rest.collect(),
            metadata,
        });
    }
    let objects: Vec<&Arc<Value>> = rest.by_ref().take(paging.limit).collect();
    let remaining = rest.count();
    if let (true, Some(last)) = (remaining > 0, objects.last()) {
        metadata["continue"] = json!(write_token(revision, &key(last)));
        if selection.is_everything() {
            metadata["remainingItemCount"] = json!(remaining);
        }
    }
    Ok(Page { objects, metadata })
}

/// A list in the form that the client wants.
pub(crate) fn list(resource: &Resource, page: &Page<'_>, form: Form, now: Timestamp) -> Vec<u8> {
    let shown: Vec<_> = page
        .objects
        .iter()
        .map(|object| versions::shown(resource, object))
        .collect();
    let bytes = match form {
        Form::Whole => serde_json::to_vec(&List {
            kind: &resource.list_kind,
            api_version: &resource.api_version(),
            metadata: &page.metadata,
            items: shown.iter().map(|object| Written::item(object, resource)).collect(),
        }),
        Form::Metadata => serde_json::to_vec(&List {
            kind: "PartialObjectMetadataList",
            api_version: "meta.k8s.io/v1",
            metadata: &page.metadata,
            items: shown.iter().map(|object| MetadataOnly::of(object)).collect(),
        }),
        Form::Table(included) => {
            let rows = shown.iter().map(|object| &**object);
            serde_json::to_vec(&table::of(resource, rows, &page.metadata, included, now))
        }
    };
    bytes.expect("a list has string keys only")
}

#[derive(Serialize)]
struct List<'a, T> {
    kind: &'a str,
    #[serde(rename = "apiVersion")]
    api_version: &'a str,
    metadata: &'a Value,
    items: Vec<T>,
}

/// Reads tokens as Go does: bits after the last whole byte do not matter.
const LENIENT: base64::engine::GeneralPurpose = base64::engine::GeneralPurpose::new(
    &base64::alphabet::URL_SAFE,
    base64::engine::GeneralPurposeConfig::new()
        .with_encode_padding(false)
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(base64::engine::DecodePaddingMode::Indifferent),
);

fn write_token(revision: u64, start: &str) -> String {
    let token = json!({"v": "meta.k8s.io/v1", "rv": revision, "start": start});
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(token.to_string())
}

fn read_token(token: &str) -> Result<Option<(u64, String)>, Failure> {
    if token.is_empty() {
        return Ok(None);
    }
    let wrong = |why: &str| Failure::bad_request(format!("invalid continue token: continue key is not valid: {why}"));
    let bytes = LENIENT
        .decode(token.trim_end_matches('='))
        .map_err(|error| wrong(&error.to_string()))?;
    let read: Value = serde_json::from_slice(&bytes).map_err(|_| {
        let first = bytes.first().copied().map_or(' ', char::from);
        wrong(&format!("invalid character '{first}' looking for beginning of value"))
    })?;
    match (read["rv"].as_u64(), read["start"].as_str()) {
        (Some(revision), Some(start)) => Ok(Some((revision, start.to_owned()))),
        _ => Err(wrong("it names no position")),
    }
}
