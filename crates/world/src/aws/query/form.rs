//! The parameters of a form-encoded call, and the refusal of those that nobody knows.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use crate::core::Request;

/// Patterns that many operations share; `@name` in an operation's parameters stands for them.
const SHARED: &[(&str, &str)] = &[
    (
        "@tags",
        "TagSpecification.#.ResourceType TagSpecification.#.Tag.#.Key TagSpecification.#.Tag.#.Value",
    ),
    ("@filters", "Filter.#.Name Filter.#.Value.#"),
    ("@pages", "MaxResults NextToken"),
    ("@members", "Tags.member.#.Key Tags.member.#.Value"),
    ("@marker", "Marker MaxItems"),
];

/// The parameters of one call, or those below a prefix.
#[derive(Clone, Debug)]
pub(crate) struct Form<'a> {
    all: &'a BTreeMap<String, String>,
    prefix: String,
}

/// What is wrong with a form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum BadForm {
    /// Nobody knows this parameter.
    Unknown(String),
    /// The call cannot do without this parameter.
    Missing(String),
    /// This parameter's value is not of its type.
    Malformed(String),
}

/// The pairs of a call: the body of a POST, the query of a GET without its signature.
pub(crate) fn pairs(request: &Request) -> BTreeMap<String, String> {
    let query = request.uri().query().unwrap_or_default();
    let body = form_urlencoded::parse(request.body());
    form_urlencoded::parse(query.as_bytes())
        .chain(body)
        .filter(|(name, _)| !name.starts_with("X-Amz-"))
        .map(|(name, value)| (name.into_owned(), value.into_owned()))
        .collect()
}

impl<'a> Form<'a> {
    pub(crate) fn new(all: &'a BTreeMap<String, String>) -> Self {
        Self {
            all,
            prefix: String::new(),
        }
    }

    /// Checks every parameter against what the operation knows: names separated by blanks, `#` for a list's index, a
    /// `!` after what must be there, `@` before a shared group.
    pub(crate) fn check(&self, known: &str) -> Result<(), BadForm> {
        let mut patterns = BTreeSet::from(["Action", "Version"]);
        let mut required = Vec::new();
        for word in known.split_whitespace() {
            let shared = SHARED.iter().find(|(name, _)| *name == word);
            match (shared, word.strip_suffix('!')) {
                (Some((_, group)), _) => patterns.extend(group.split_whitespace()),
                (None, Some(word)) => {
                    patterns.insert(word);
                    required.push(word);
                }
                (None, None) => {
                    patterns.insert(word);
                }
            }
        }
        let mut found = BTreeSet::new();
        for (name, value) in self.all {
            let pattern = pattern(name);
            // A client writes an empty list as its bare name.
            let empty_list = value.is_empty() && patterns.iter().any(|known| begins(known, &pattern));
            if !patterns.contains(&*pattern) && !empty_list {
                return Err(BadForm::Unknown(name.clone()));
            }
            found.insert(pattern);
        }
        match required.into_iter().find(|name| !found.contains(*name)) {
            Some(name) => Err(BadForm::Missing(
                name.trim_end_matches(".member.#").trim_end_matches(".#").to_owned(),
            )),
            None => Ok(()),
        }
    }

    /// A parameter's text.
    pub(crate) fn text(&self, name: &str) -> Option<&'a str> {
        self.all.get(&self.path(name)).map(String::as_str)
    }

    /// A parameter's text, which must be there.
    pub(crate) fn required(&self, name: &str) -> Result<&'a str, BadForm> {
        self.text(name).ok_or_else(|| BadForm::Missing(self.path(name)))
    }

    /// A parameter that is `true` or `false`.
    pub(crate) fn flag(&self, name: &str) -> Result<Option<bool>, BadForm> {
        self.parsed(name)
    }

    /// A parameter of a type that can be read from text, such as a number.
    pub(crate) fn parsed<T: std::str::FromStr>(&self, name: &str) -> Result<Option<T>, BadForm> {
        let malformed = |_| BadForm::Malformed(self.path(name));
        self.text(name).map(|text| text.parse().map_err(malformed)).transpose()
    }

    /// The texts of a list, in the order of their indexes.
    pub(crate) fn texts(&self, name: &str) -> Vec<&'a str> {
        let items = self.items(name);
        items
            .iter()
            .filter_map(|item| item.all.get(&item.prefix))
            .map(String::as_str)
            .collect()
    }

    /// The structures of a list, in the order of their indexes.
    pub(crate) fn items(&self, name: &str) -> Vec<Self> {
        let path = format!("{}.", self.path(name));
        let index = |key: &String| key.strip_prefix(&path)?.split('.').next()?.parse::<usize>().ok();
        let indexes: BTreeSet<usize> = self.all.keys().filter_map(index).collect();
        let item = |index| Self {
            all: self.all,
            prefix: format!("{path}{index}"),
        };
        indexes.into_iter().map(item).collect()
    }

    /// The structure below a name, if any of it is given.
    pub(crate) fn within(&self, name: &str) -> Option<Self> {
        let prefix = self.path(name);
        let inside = format!("{prefix}.");
        let given = self.all.keys().any(|key| key.starts_with(&inside));
        given.then_some(Self { all: self.all, prefix })
    }

    fn path(&self, name: &str) -> String {
        if self.prefix.is_empty() {
            name.to_owned()
        } else {
            format!("{}.{name}", self.prefix)
        }
    }
}

/// A parameter's name with `#` for every index.
fn pattern(name: &str) -> String {
    let index = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let parts = name.split('.').map(|part| if index(part) { "#" } else { part });
    parts.collect::<Vec<_>>().join(".")
}

fn begins(known: &str, name: &str) -> bool {
    known
        .strip_prefix(name)
        .is_some_and(|rest| rest.starts_with(".#") || rest.starts_with(".member.#"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(text: &str) -> BTreeMap<String, String> {
        form_urlencoded::parse(text.as_bytes()).into_owned().collect()
    }

    fn check(known: &str, text: &str, expected: impl Into<Option<BadForm>>) {
        assert_eq!(Form::new(&form(text)).check(known).err(), expected.into(), "{text}");
    }

    #[test]
    fn a_form_may_hold_only_what_the_operation_knows() {
        let unknown = |name: &str| BadForm::Unknown(name.to_owned());
        let missing = |name: &str| BadForm::Missing(name.to_owned());
        check("CidrBlock!", "Action=CreateVpc&Version=1&CidrBlock=10.0.0.0%2F16", None);
        check("CidrBlock!", "Action=CreateVpc", missing("CidrBlock"));
        check("CidrBlock", "CidrBlok=1", unknown("CidrBlok"));
        check("@tags", "TagSpecification.1.Tag.12.Key=a", None);
        check(
            "@tags",
            "TagSpecification.1.Tag.Key=a",
            unknown("TagSpecification.1.Tag.Key"),
        );
        check("VpcId.#!", "VpcId.1=vpc-1", None);
        check("VpcId.#!", "", missing("VpcId"));
        check("Roles.member.#", "Roles=", None);
        check("Roles.member.#", "Roles=x", unknown("Roles"));
    }

    #[test]
    fn lists_keep_the_order_of_their_indexes() {
        let pairs = form("Id.10=k&Id.2=b&Id.1=a&Tag.1.Key=x&Tag.1.Value=y");
        let form = Form::new(&pairs);
        assert_eq!(form.texts("Id"), ["a", "b", "k"]);
        let tags: Vec<_> = form
            .items("Tag")
            .iter()
            .map(|tag| (tag.text("Key"), tag.text("Value")))
            .collect();
        assert_eq!(tags, [(Some("x"), Some("y"))]);
    }
}
