//! The diary of the account: every call that may change something, in order, with how it ended.

use jiff::Timestamp;
use serde::Deserialize;
use serde::Serialize;

/// One call that may change something.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mutation {
    /// When it came.
    pub at: Timestamp,
    /// The region that it was signed for.
    pub region: String,
    /// The service, as in the signature's scope.
    pub service: String,
    /// The operation.
    pub operation: String,
    /// The error code that refused it; none if it took effect.
    pub refused: Option<String>,
}

/// What the names of operations that change nothing begin with.
const READS: &[&str] = &[
    "Describe",
    "Get",
    "List",
    "Head",
    "BatchGet",
    "BatchCheck",
    "Simulate",
    "Receive",
];

/// Whether an operation may change something, judged by its name as AWS's own tools do.
pub(crate) fn mutates(operation: &str) -> bool {
    !READS.iter().any(|read| operation.starts_with(read))
}
