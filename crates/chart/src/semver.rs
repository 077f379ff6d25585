//! Semantic versions and ranges, as Helm's library reads them: `v` prefixes, partial versions, `~`, `^`, `x`, hyphen ranges,
//! spaces and commas for *and*, `||` for *or*. A pre-release matches only a group that names a pre-release itself.

use std::cmp::Ordering;
use std::fmt;

/// A version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// The first number.
    pub major: u64,
    /// The second number, or 0.
    pub minor: u64,
    /// The third number, or 0.
    pub patch: u64,
    /// What follows the hyphen, or nothing.
    pub prerelease: String,
    /// What follows the plus sign, or nothing.
    pub metadata: String,
    /// The text as it was given.
    pub original: String,
}

impl Version {
    /// Reads a version; `1`, `1.2` and `v1.2.3` are fine.
    ///
    /// # Errors
    /// If the text is no version.
    pub fn parse(text: &str) -> Result<Self, String> {
        let invalid = || "invalid semantic version".to_owned();
        let (parts, version) = Partial::parse(text).ok_or_else(invalid)?;
        if parts.wild || version.prerelease.is_empty() && text.contains('-') && !text.contains('+') {
            return Err(invalid());
        }
        Ok(version)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}.{}.{}", self.major, self.minor, self.patch)?;
        if !self.prerelease.is_empty() {
            write!(out, "-{}", self.prerelease)?;
        }
        if !self.metadata.is_empty() {
            write!(out, "+{}", self.metadata)?;
        }
        Ok(())
    }
}

impl Ord for Version {
    /// Compares by precedence: what follows the plus sign does not count.
    fn cmp(&self, other: &Self) -> Ordering {
        let numbers = |version: &Self| (version.major, version.minor, version.patch);
        numbers(self)
            .cmp(&numbers(other))
            .then_with(|| compare_prerelease(&self.prerelease, &other.prerelease))
    }
}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

fn compare_prerelease(one: &str, other: &str) -> Ordering {
    match (one.is_empty(), other.is_empty()) {
        (true, true) => return Ordering::Equal,
        (true, false) => return Ordering::Greater,
        (false, true) => return Ordering::Less,
        (false, false) => {}
    }
    let mut left = one.split('.');
    let mut right = other.split('.');
    loop {
        match (left.next(), right.next()) {
            (None, None) => return Ordering::Equal,
            (None, Some(_)) => return Ordering::Less,
            (Some(_), None) => return Ordering::Greater,
            (Some(one), Some(other)) => {
                let order = match (one.parse::<u64>(), other.parse::<u64>()) {
                    (Ok(one), Ok(other)) => one.cmp(&other),
                    (Ok(_), Err(_)) => Ordering::Less,
                    (Err(_), Ok(_)) => Ordering::Greater,
                    (Err(_), Err(_)) => one.cmp(other),
                };
                if order != Ordering::Equal {
                    return order;
                }
            }
        }
    }
}

/// Which numbers of a version were left out or written as `x`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each number of a version may be missing by itself"
)]
struct Partial {
    wild: bool,
    minor: bool,
    patch: bool,
    dirty: bool,
}

impl Partial {
    fn parse(text: &str) -> Option<(Partial, Version)> {
        let original = text.to_owned();
        let text = text.strip_prefix('v').unwrap_or(text);
        let (rest, metadata) = text.split_once('+').unwrap_or((text, ""));
        let (numbers, prerelease) = rest.split_once('-').unwrap_or((rest, ""));
        let identifiers = |text: &str| {
            text.is_empty()
                || text.split('.').all(|part| {
                    !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
                })
        };
        if !identifiers(metadata) || !identifiers(prerelease) {
            return None;
        }
        let mut places = [0_u64; 3];
        let mut parts = Partial::default();
        let mut given = 0;
        for (position, number) in numbers.split('.').enumerate() {
            if position > 2 {
                return None;
            }
            given += 1;
            if matches!(number, "x" | "X" | "*") {
                parts.wild = true;
                parts.mark(position);
                continue;
            }
            if number.is_empty() || !number.bytes().all(|byte| byte.is_ascii_digit()) {
                return None;
            }
            places[position] = number.parse().ok()?;
        }
        for position in given..3 {
            parts.mark(position);
        }
        // What follows an `x` does not count.
        if parts.minor {
            places[1] = 0;
        }
        if parts.patch {
            places[2] = 0;
        }
        let [major, minor, patch] = places;
        let version = Version {
            major,
            minor,
            patch,
            prerelease: prerelease.to_owned(),
            metadata: metadata.to_owned(),
            original,
        };
        Some((parts, version))
    }

    fn mark(&mut self, position: usize) {
        self.dirty = true;
        self.patch = position == 2 || self.patch;
        self.minor = position <= 1 || self.minor;
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operator {
    TildeOrEqual,
    Equal,
    NotEqual,
    Greater,
    Less,
    GreaterOrEqual,
    LessOrEqual,
    Tilde,
    Caret,
}

#[derive(Clone, Debug)]
struct Bound {
    operator: Operator,
    version: Version,
    parts: Partial,
}

/// A range of versions.
#[derive(Clone, Debug)]
pub struct Constraint {
    /// One of the groups must hold; a group holds if all its bounds do.
    groups: Vec<Vec<Bound>>,
}

impl Constraint {
    /// Reads a range such as `>=1.2 <2 || ~3.1`.
    ///
    /// # Errors
    /// If the text is no range.
    pub fn parse(text: &str) -> Result<Self, String> {
        let groups = text.split("||").map(|group| {
            parse_group(group).ok_or_else(|| format!("improper constraint: {}", crate::format::quote(group)))
        });
        Ok(Constraint {
            groups: groups.collect::<Result<_, _>>()?,
        })
    }

    /// Tells whether a version is in the range.
    pub fn allows(&self, version: &Version) -> bool {
        self.groups.iter().any(|group| {
            let names_prerelease = group.iter().any(|bound| !bound.version.prerelease.is_empty());
            (version.prerelease.is_empty() || names_prerelease) && group.iter().all(|bound| bound.allows(version))
        })
    }
}

fn parse_group(text: &str) -> Option<Vec<Bound>> {
    let mut bounds = Vec::new();
    let mut rest = text.trim_start_matches([' ', ',', '\t']);
    if rest.trim().is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let (operator, after) = operator(rest);
        let after = after.trim_start();
        let end = after.find([' ', ',', '\t']).unwrap_or(after.len());
        let (parts, version) = Partial::parse(&after[..end])?;
        rest = after[end..].trim_start();
        // A hyphen between two versions spans a range.
        if let Some(upper) = rest.strip_prefix("- ")
            && operator == Operator::TildeOrEqual
        {
            let upper = upper.trim_start();
            let end = upper.find([' ', ',', '\t']).unwrap_or(upper.len());
            let (upper_parts, upper_version) = Partial::parse(&upper[..end])?;
            bounds.push(Bound {
                operator: Operator::GreaterOrEqual,
                version,
                parts,
            });
            bounds.push(Bound {
                operator: Operator::LessOrEqual,
                version: upper_version,
                parts: upper_parts,
            });
            rest = &upper[end..];
        } else {
            let anything = parts.dirty && parts.minor && matches!(&after[..end], "x" | "X" | "*");
            let operator = if anything { Operator::GreaterOrEqual } else { operator };
            bounds.push(Bound {
                operator,
                version,
                parts,
            });
        }
        rest = rest.trim_start_matches([' ', ',', '\t']);
    }
    Some(bounds)
}

fn operator(text: &str) -> (Operator, &str) {
    let operators = [
        ("!=", Operator::NotEqual),
        (">=", Operator::GreaterOrEqual),
        ("=>", Operator::GreaterOrEqual),
        ("<=", Operator::LessOrEqual),
        ("=<", Operator::LessOrEqual),
        ("~>", Operator::Tilde),
        ("~", Operator::Tilde),
        ("^", Operator::Caret),
        (">", Operator::Greater),
        ("<", Operator::Less),
        ("=", Operator::Equal),
    ];
    for (sign, operator) in operators {
        if let Some(rest) = text.strip_prefix(sign) {
            return (operator, rest);
        }
    }
    (Operator::TildeOrEqual, text)
}

impl Bound {
    fn allows(&self, version: &Version) -> bool {
        let (own, parts) = (&self.version, self.parts);
        match self.operator {
            Operator::TildeOrEqual | Operator::Equal if parts.dirty => self.same_line(version),
            Operator::TildeOrEqual | Operator::Equal => version.cmp(own).is_eq(),
            Operator::NotEqual => self.differs(version),
            Operator::Greater if parts.dirty => {
                version.major > own.major
                    || version.major == own.major && !parts.minor && parts.patch && version.minor > own.minor
            }
            Operator::Greater => version > own,
            Operator::Less => version < own,
            Operator::GreaterOrEqual => version >= own,
            Operator::LessOrEqual if parts.dirty => {
                version.major < own.major || version.major == own.major && (parts.minor || version.minor <= own.minor)
            }
            Operator::LessOrEqual => version <= own,
            Operator::Tilde => self.same_line(version),
            Operator::Caret => self.compatible(version),
        }
    }

    fn differs(&self, version: &Version) -> bool {
        let (own, parts) = (&self.version, self.parts);
        if !parts.dirty {
            return !version.cmp(own).is_eq();
        }
        version.major != own.major
            || !parts.minor && version.minor != own.minor
            || !parts.minor && parts.patch && version.prerelease != own.prerelease
    }

    /// `~`: the same minor line, or the same major one where no minor number is given.
    fn same_line(&self, version: &Version) -> bool {
        let (own, parts) = (&self.version, self.parts);
        if version < own {
            return false;
        }
        let zero = own.major == 0 && own.minor == 0 && own.patch == 0 && !parts.minor && !parts.patch;
        zero || version.major == own.major && (parts.minor || version.minor == own.minor)
    }

    /// `^`: nothing left of the first number that is not zero may change.
    fn compatible(&self, version: &Version) -> bool {
        let (own, parts) = (&self.version, self.parts);
        if version < own {
            return false;
        }
        if own.major > 0 || parts.minor {
            return version.major == own.major;
        }
        if version.major > 0 {
            return false;
        }
        if own.minor > 0 || parts.patch {
            return version.minor == own.minor;
        }
        version.minor == 0 && version.patch == own.patch
    }
}
