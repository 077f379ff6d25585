//! What one repository of a registry holds: manifests, their tags, the blobs that they refer to, uploads under way.

use std::collections::BTreeMap;

use bytes::Bytes;
use jiff::Timestamp;
use serde::Deserialize;
use serde::Serialize;
use serde_json::Value;

use crate::content::Content;
use crate::content::sha256;

/// The images of one repository.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Images {
    // By digest, as in `sha256:..`.
    manifests: BTreeMap<String, Manifest>,
    // Invariant: every tag names a manifest that is there.
    tags: BTreeMap<String, String>,
    blobs: BTreeMap<String, Content>,
    /// Uploads under way, by their number.
    pub(crate) uploads: BTreeMap<String, Content>,
}

/// One manifest, or an index of manifests.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Manifest {
    pub(crate) media_type: String,
    pub(crate) text: Content,
    pub(crate) pushed: Timestamp,
}

/// What a manifest refers to and the repository does not have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Missing(pub(crate) String);

impl Images {
    /// Keeps a blob and gives its digest.
    pub(crate) fn add_blob(&mut self, bytes: Bytes) -> String {
        let digest = format!("sha256:{}", sha256(&bytes));
        self.blobs.insert(digest.clone(), Content(bytes));
        digest
    }

    /// A blob by its digest.
    pub(crate) fn blob(&self, digest: &str) -> Option<&Bytes> {
        self.blobs.get(digest).map(|content| &content.0)
    }

    /// Keeps a manifest, points a tag at it, and gives its digest.
    pub(crate) fn add_manifest(&mut self, media_type: &str, text: Bytes, tag: Option<&str>, now: Timestamp) -> String {
        let digest = format!("sha256:{}", sha256(&text));
        self.manifests.entry(digest.clone()).or_insert_with(|| Manifest {
            media_type: media_type.to_owned(),
            text: Content(text),
            pushed: now,
        });
        if let Some(tag) = tag {
            self.tags.insert(tag.to_owned(), digest.clone());
        }
        digest
    }

    /// Whether everything that a manifest refers to is there.
    pub(crate) fn complete(&self, manifest: &Value) -> Result<(), Missing> {
        let digest = |descriptor: &Value| descriptor["digest"].as_str().unwrap_or_default().to_owned();
        let listed = |field: &str| manifest[field].as_array().into_iter().flatten().map(digest);
        let configuration = manifest.get("config").map(digest);
        let blobs = configuration.into_iter().chain(listed("layers"));
        let missing = blobs.filter(|digest| !self.blobs.contains_key(digest));
        let children = listed("manifests").filter(|digest| !self.manifests.contains_key(digest));
        match missing.chain(children).next() {
            Some(digest) => Err(Missing(digest)),
            None => Ok(()),
        }
    }

    /// A manifest by tag or digest, with its digest.
    pub(crate) fn manifest(&self, reference: &str) -> Option<(&str, &Manifest)> {
        let digest = self.tags.get(reference).map_or(reference, String::as_str);
        self.manifests
            .get_key_value(digest)
            .map(|(digest, manifest)| (digest.as_str(), manifest))
    }

    /// All manifests, by digest.
    pub(crate) fn manifests(&self) -> impl Iterator<Item = (&str, &Manifest)> {
        self.manifests
            .iter()
            .map(|(digest, manifest)| (digest.as_str(), manifest))
    }

    /// All tags.
    pub(crate) fn tags(&self) -> impl Iterator<Item = &str> {
        self.tags.keys().map(String::as_str)
    }

    /// The tags that point at a manifest.
    pub(crate) fn tags_of<'a>(&'a self, digest: &'a str) -> impl Iterator<Item = &'a str> {
        let points = move |(_, target): &(&String, &String)| *target == digest;
        self.tags.iter().filter(points).map(|(tag, _)| tag.as_str())
    }

    /// Whether there is no manifest.
    pub(crate) fn is_empty(&self) -> bool {
        self.manifests.is_empty()
    }

    /// How many bytes an image's configuration and layers are.
    pub(crate) fn size_of(manifest: &Manifest) -> usize {
        let manifest: Value = serde_json::from_slice(&manifest.text.0).unwrap_or_default();
        let listed = manifest["layers"].as_array().into_iter().flatten();
        let sizes = listed.chain(manifest.get("config"));
        let sizes = sizes.filter_map(|descriptor| usize::try_from(descriptor["size"].as_u64()?).ok());
        sizes.sum()
    }

    /// Takes a tag off its manifest; the manifest goes with its last tag. Says which manifest it was.
    pub(crate) fn remove_tag(&mut self, tag: &str) -> Option<String> {
        let digest = self.tags.remove(tag)?;
        if self.tags_of(&digest).next().is_none() {
            self.manifests.remove(&digest);
        }
        Some(digest)
    }

    /// Removes a manifest and its tags; says which tags it had, none if there is no such manifest.
    pub(crate) fn remove(&mut self, digest: &str) -> Option<Vec<String>> {
        self.manifests.remove(digest)?;
        let tags: Vec<String> = self.tags_of(digest).map(str::to_owned).collect();
        self.tags.retain(|_, target| target != digest);
        Some(tags)
    }

    /// The index that lists a manifest, if one does.
    pub(crate) fn index_of(&self, digest: &str) -> Option<&str> {
        let lists = |manifest: &Manifest| {
            let text: Value = serde_json::from_slice(&manifest.text.0).unwrap_or_default();
            let children = text["manifests"].as_array();
            children.is_some_and(|children| children.iter().any(|child| child["digest"] == digest))
        };
        self.manifests()
            .find(|(_, manifest)| lists(manifest))
            .map(|(index, _)| index)
    }
}
