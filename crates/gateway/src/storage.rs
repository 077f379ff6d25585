//! Where questions and survey responses are kept: a trait over keys and bytes, and memory.
//!
//! The trait is what S3 can do cheaply: get, put, and list by prefix in pages. Nothing here knows what is kept.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

use bytes::Bytes;
use futures::future::BoxFuture;

/// Keys and bytes, somewhere.
pub trait Storage: Send + Sync {
    /// The bytes under a key, if there are any.
    fn get<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<Bytes>, StorageError>>;

    /// Puts bytes under a key, in place of what was there.
    fn put<'a>(&'a self, key: &'a str, body: Bytes) -> BoxFuture<'a, Result<(), StorageError>>;

    /// Takes a key away; one that is not there is no error.
    fn delete<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<(), StorageError>>;

    /// One page of the keys that begin with `prefix`, in order; `page` is the last page's `next`.
    fn list<'a>(&'a self, prefix: &'a str, page: Option<String>) -> BoxFuture<'a, Result<Listing, StorageError>>;
}

/// One page of keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// The keys, in order.
    pub keys: Vec<String>,
    /// What to ask the next page with; `None` on the last.
    pub next: Option<String>,
}

/// A storage that did not do what it was asked.
#[derive(Debug)]
pub struct StorageError(Box<dyn Error + Send + Sync>);

/// A storage that lasts as long as the process.
#[derive(Debug, Default)]
pub struct MemoryStorage {
    objects: Mutex<BTreeMap<String, Bytes>>,
}

impl StorageError {
    /// Wraps whatever the storage reported.
    pub fn new(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self(error.into())
    }
}

impl fmt::Display for StorageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Error for StorageError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source()
    }
}

impl MemoryStorage {
    /// As many keys as S3 lists at once.
    const PAGE: usize = 1000;

    fn objects(&self) -> MutexGuard<'_, BTreeMap<String, Bytes>> {
        // A panic elsewhere cannot leave a map half written.
        self.objects.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Storage for MemoryStorage {
    fn get<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<Bytes>, StorageError>> {
        let body = self.objects().get(key).cloned();
        Box::pin(async { Ok(body) })
    }

    fn put<'a>(&'a self, key: &'a str, body: Bytes) -> BoxFuture<'a, Result<(), StorageError>> {
        self.objects().insert(key.to_owned(), body);
        Box::pin(async { Ok(()) })
    }

    fn delete<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<(), StorageError>> {
        self.objects().remove(key);
        Box::pin(async { Ok(()) })
    }

    fn list<'a>(&'a self, prefix: &'a str, page: Option<String>) -> BoxFuture<'a, Result<Listing, StorageError>> {
        let from = page.unwrap_or_else(|| prefix.to_owned());
        let objects = self.objects();
        let mut keys = objects
            .range(from..)
            .map(|(key, _)| key)
            .take_while(|key| key.starts_with(prefix))
            .cloned();
        let listing = Listing {
            keys: keys.by_ref().take(Self::PAGE).collect(),
            next: keys.next(),
        };
        Box::pin(async { Ok(listing) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn memory_lists_every_key_of_a_prefix_once() {
        let storage = MemoryStorage::default();
        for number in 0..2500 {
            storage.put(&format!("a/{number:04}"), Bytes::new()).await.unwrap();
        }
        storage.put("b/0", Bytes::new()).await.unwrap();
        let (mut keys, mut page, mut pages) = (Vec::new(), None, 0);
        loop {
            let listing = storage.list("a/", page).await.unwrap();
            keys.extend(listing.keys);
            pages += 1;
            page = listing.next;
            if page.is_none() {
                break;
            }
        }
        assert_eq!(pages, 3);
        assert_eq!(
            keys,
            (0..2500).map(|number| format!("a/{number:04}")).collect::<Vec<_>>()
        );
    }

    #[tokio::test]
    async fn what_is_deleted_is_gone_and_deleting_again_is_no_error() {
        let storage = MemoryStorage::default();
        storage.put("a", Bytes::from("1")).await.unwrap();
        assert_eq!(storage.get("a").await.unwrap(), Some(Bytes::from("1")));
        storage.delete("a").await.unwrap();
        storage.delete("a").await.unwrap();
        assert_eq!(storage.get("a").await.unwrap(), None);
    }
}
