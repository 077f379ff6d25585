//! Patterns of the collector's configuration, each compiled once: compiling costs a thousand times as much as matching.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::LazyLock;
use std::sync::Mutex;
use std::sync::PoisonError;

use regex::Regex;

/// How many are kept. A configuration has a handful; whoever changes it a thousand times begins anew.
const KEPT: usize = 1000;

/// The compiled pattern; none when it is not one.
pub(super) fn pattern(text: &str) -> Option<Arc<Regex>> {
    static COMPILED: LazyLock<Mutex<BTreeMap<String, Option<Arc<Regex>>>>> = LazyLock::new(Mutex::default);
    let mut compiled = COMPILED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = compiled.get(text) {
        return known.clone();
    }
    if compiled.len() == KEPT {
        compiled.clear();
    }
    let new = Regex::new(text).ok().map(Arc::new);
    compiled.insert(text.to_owned(), new.clone());
    new
}
