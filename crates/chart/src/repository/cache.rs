//! Archives by digest, in a folder. A file whose bytes do not match its name counts as absent.

use std::io::Write;
use std::path::Path;
use std::path::PathBuf;

use super::PullError;
use super::Reference;
use super::digest_of;

/// A folder of archives.
#[derive(Clone, Debug)]
pub struct Cache {
    folder: PathBuf,
}

impl Cache {
    /// Uses a folder, which need not exist yet.
    pub fn new(folder: &Path) -> Self {
        Cache {
            folder: folder.to_owned(),
        }
    }

    /// The archive of a digest, if it is here and intact.
    pub(super) fn read(&self, digest: &str) -> Option<Vec<u8>> {
        let bytes = std::fs::read(self.archive(digest)?).ok()?;
        (digest_of(&bytes) == digest).then_some(bytes)
    }

    pub(super) fn write(&self, digest: &str, bytes: &[u8]) -> Result<(), PullError> {
        if self.read(digest).is_some() {
            return Ok(());
        }
        match self.archive(digest) {
            Some(path) => put(&path, bytes),
            None => Ok(()),
        }
    }

    /// The digest that a reference stood for when it was last pulled.
    pub(super) fn resolve(&self, reference: &Reference) -> Option<String> {
        let text = std::fs::read_to_string(self.name(reference)).ok()?;
        let (known, digest) = text.trim().split_once('\n')?;
        (known == reference.to_string()).then(|| digest.to_owned())
    }

    pub(super) fn remember(&self, reference: &Reference, digest: &str) -> Result<(), PullError> {
        if self.resolve(reference).as_deref() == Some(digest) {
            return Ok(());
        }
        put(&self.name(reference), format!("{reference}\n{digest}\n").as_bytes())
    }

    /// Digests name files, so nothing but a digest may.
    fn archive(&self, digest: &str) -> Option<PathBuf> {
        let digits = digest.strip_prefix("sha256:")?;
        let sound = digits.len() == 64 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        sound.then(|| self.folder.join("sha256").join(format!("{digits}.tgz")))
    }

    fn name(&self, reference: &Reference) -> PathBuf {
        let digest = digest_of(reference.to_string().as_bytes());
        self.folder.join("names").join(digest.trim_start_matches("sha256:"))
    }
}

/// Writes a file so that a reader sees all of it or nothing.
fn put(path: &Path, bytes: &[u8]) -> Result<(), PullError> {
    let failed = |source| PullError::Cache {
        path: path.display().to_string(),
        source,
    };
    let folder = path.parent().unwrap_or(path);
    std::fs::create_dir_all(folder).map_err(failed)?;
    let mut file = tempfile::NamedTempFile::new_in(folder).map_err(failed)?;
    file.write_all(bytes).map_err(failed)?;
    file.persist(path).map_err(|error| failed(error.error))?;
    Ok(())
}
