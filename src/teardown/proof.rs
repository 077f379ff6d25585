//! The proof: every kind of the inventory looked for in the world once more, with what was found.

use std::fmt;

use itertools::Itertools;
use serde::Serialize;

use crate::error::with_causes;
use crate::provider::aws::Aws;
use crate::provider::aws::leftovers::Marks;
use crate::provider::aws::leftovers::Standing;
use crate::teardown::Options;
use crate::teardown::inventory::Entry;

/// What is left of a stack, kind by kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Proof {
    /// One row for each kind of the inventory.
    pub rows: Vec<Row>,
}

/// What was found of one kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Row {
    /// The kind.
    pub kind: String,
    /// How it was looked for.
    pub looked_for: String,
    /// How many are left behind.
    pub found: usize,
    /// Which.
    pub names: Vec<String>,
    /// What was kept because the user asked for it.
    pub kept: Vec<String>,
    /// What AWS deletes later by itself, with the day.
    pub scheduled: Vec<String>,
    /// Why nothing is known; none when the look succeeded.
    pub unknown: Option<String>,
}

impl Proof {
    /// Whether every kind was looked for and nothing is left behind.
    pub fn is_clean(&self) -> bool {
        self.left() == 0 && self.rows.iter().all(|row| row.unknown.is_none())
    }

    /// How much was found.
    pub fn left(&self) -> usize {
        self.rows.iter().map(|row| row.found).sum()
    }
}

/// Looks for every kind of the inventory.
pub async fn prove(aws: &Aws, marks: &Marks, options: &Options) -> Proof {
    let rows = Entry::ALL.map(|entry| row(aws, marks, options, entry));
    Proof {
        rows: futures::future::join_all(rows).await,
    }
}

async fn row(aws: &Aws, marks: &Marks, options: &Options, entry: Entry) -> Row {
    let mut row = Row {
        kind: entry.name().to_owned(),
        looked_for: entry.looked_for(aws),
        found: 0,
        names: Vec::new(),
        kept: Vec::new(),
        scheduled: Vec::new(),
        unknown: None,
    };
    let things = match entry.find(aws, marks).await {
        Ok(things) => things,
        Err(error) => {
            row.unknown = Some(with_causes(&error));
            return row;
        }
    };
    for thing in things {
        match thing.standing {
            Standing::Scheduled(date) => row.scheduled.push(format!("{} on {date}", thing.name)),
            _ if entry.is_data() && options.keep_data => row.kept.push(thing.name),
            Standing::There | Standing::Leaving(_) => row.names.push(thing.name),
        }
    }
    row.names.sort();
    row.found = row.names.len();
    row
}

impl fmt::Display for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = |text: fn(&Row) -> &str, head: &str| {
            let longest = self.rows.iter().map(|row| text(row).chars().count()).max();
            longest.unwrap_or_default().max(head.len())
        };
        let kinds = width(|row| &row.kind, "kind");
        writeln!(f, "{:kinds$}  {:>5}  looked for by", "kind", "found")?;
        for row in &self.rows {
            let found = match row.unknown {
                Some(_) => "?".to_owned(),
                None => row.found.to_string(),
            };
            writeln!(f, "{:kinds$}  {found:>5}  {}", row.kind, row.looked_for)?;
            let told = [
                ("left", &row.names),
                ("kept", &row.kept),
                ("deleted by AWS", &row.scheduled),
            ];
            for (what, names) in told.into_iter().filter(|(_, names)| !names.is_empty()) {
                writeln!(f, "{:kinds$}         {what}: {}", "", names.iter().join(", "))?;
            }
            if let Some(why) = &row.unknown {
                writeln!(f, "{:kinds$}         not known: {why}", "")?;
            }
        }
        match (self.left(), self.is_clean()) {
            (_, true) => write!(f, "nothing is left behind"),
            (0, false) => write!(f, "not everything could be looked for"),
            (left, false) => write!(f, "{left} left behind"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(kind: &str) -> Row {
        Row {
            kind: kind.to_owned(),
            looked_for: "tubectl:stack=tube".to_owned(),
            found: 0,
            names: Vec::new(),
            kept: Vec::new(),
            scheduled: Vec::new(),
            unknown: None,
        }
    }

    #[test]
    fn an_empty_account_is_proved_and_what_is_kept_or_scheduled_is_told() {
        let key = Row {
            scheduled: vec!["1234 (key/main) on 2026-01-12".to_owned()],
            ..row("key")
        };
        let bucket = Row {
            kept: vec!["tube-answers".to_owned()],
            ..row("bucket")
        };
        let proof = Proof {
            rows: vec![key, bucket],
        };
        assert!(proof.is_clean());
        insta::assert_snapshot!(proof, @r"
        kind    found  looked for by
        key         0  tubectl:stack=tube
                       deleted by AWS: 1234 (key/main) on 2026-01-12
        bucket      0  tubectl:stack=tube
                       kept: tube-answers
        nothing is left behind
        ");
    }

    #[test]
    fn what_is_left_and_what_could_not_be_looked_for_is_no_proof() {
        let subnet = Row {
            found: 2,
            names: vec!["subnet-1".to_owned(), "subnet-2".to_owned()],
            ..row("subnet")
        };
        let role = Row {
            unknown: Some("iam ListRoles failed (AccessDenied)".to_owned()),
            ..row("role")
        };
        let unseen = Proof {
            rows: vec![role.clone()],
        };
        let left = Proof {
            rows: vec![subnet, role],
        };
        assert!(!unseen.is_clean() && !left.is_clean());
        insta::assert_snapshot!(left, @r"
        kind    found  looked for by
        subnet      2  tubectl:stack=tube
                       left: subnet-1, subnet-2
        role        ?  tubectl:stack=tube
                       not known: iam ListRoles failed (AccessDenied)
        2 left behind
        ");
    }
}
