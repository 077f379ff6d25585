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

/// How many calls the diary holds at least, once it had as many: a stack makes hundreds, and a world may stay for months.
const REMEMBERED: usize = 10_000;

/// Writes a call into the diary; the older half goes when it is full.
pub(crate) fn remember(diary: &mut Vec<Mutation>, mutation: Mutation) {
    if diary.len() >= 2 * REMEMBERED {
        diary.drain(..REMEMBERED);
    }
    diary.push(mutation);
}

/// Whether an operation may change something, judged by its name as AWS's own tools do.
pub(crate) fn mutates(operation: &str) -> bool {
    !READS.iter().any(|read| operation.starts_with(read))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_diary_does_not_grow_without_end() {
        let mut diary = Vec::new();
        for second in 0..50_000 {
            let mutation = Mutation {
                at: Timestamp::from_second(second).unwrap(),
                region: String::new(),
                service: String::new(),
                operation: String::new(),
                refused: None,
            };
            remember(&mut diary, mutation);
            assert!(diary.len() <= 2 * REMEMBERED);
        }
        assert!(diary.len() >= REMEMBERED);
        assert_eq!(diary.last().unwrap().at.as_second(), 49_999);
    }
}
