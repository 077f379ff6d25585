//! Where stacks stand, as far as this home knows: one folder for each stack in each place.

use std::io;

use camino::Utf8Path;
use camino::Utf8PathBuf;

use crate::commands::args::On;
use crate::commands::context::Home;
use crate::commands::context::WorldName;
use crate::error::Failure;
use crate::error::Kind;
use crate::error::closest;
use crate::state::journal::Journal;

/// A stack in a place.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stand {
    /// The stack's name.
    pub stack: String,
    /// The world.
    pub world: WorldName,
    /// The account.
    pub account: String,
    /// The region.
    pub region: String,
}

impl Stand {
    /// Reads the name of a folder: world, account, region and stack.
    fn of_folder(name: &str) -> Option<Self> {
        let (world, rest) = name.split_once('-')?;
        let world = [WorldName::Local, WorldName::Aws]
            .into_iter()
            .find(|known| known.name() == world)?;
        let (account, rest) = rest.split_once('-')?;
        // A region ends with its number: `eu-west-1`, `us-gov-west-1`.
        let parts: Vec<&str> = rest.split('-').collect();
        let number = parts.iter().position(|part| part.parse::<u8>().is_ok())?;
        let (region, stack) = parts.split_at(number + 1);
        (!stack.is_empty()).then(|| Self {
            stack: stack.join("-"),
            world,
            account: account.to_owned(),
            region: region.join("-"),
        })
    }

    /// Where it is, in words.
    pub fn place(&self) -> String {
        format!("{} (account {}, {})", self.world.name(), self.account, self.region)
    }

    /// Where its journal lies.
    pub fn journal(&self, home: &Home) -> crate::state::store::Store {
        home.journal(self.world, &self.account, &self.region, &self.stack)
    }

    /// Whether something of it may exist.
    pub fn has_begun(&self, home: &Utf8Path) -> bool {
        let state = Journal::peek(&self.journal(&Home::Folder(home.to_owned())));
        state.map_or(true, |state| !state.instance.is_empty())
    }

    /// Where its lease lies.
    pub fn lease(&self, home: &Home) -> Option<Utf8PathBuf> {
        home.lease(self.world, &self.account, &self.region, &self.stack)
    }
}

/// Every stack that this home knows of, in order.
pub fn all(home: &Utf8Path) -> Result<Vec<Stand>, Failure> {
    let folder = home.join("stacks");
    let entries = match fs_err::read_dir(&folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => {
            let next = "make it readable, or name another home with TUBECTL_HOME";
            return Err(Failure::said(Kind::Yours, error.to_string(), next));
        }
    };
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let mut stands: Vec<Stand> = names.filter_map(|name| Stand::of_folder(&name)).collect();
    stands.sort();
    Ok(stands)
}

/// The one place where the stack stands; where there are several, the world must tell.
pub fn one(home: &Utf8Path, stack: &str, on: Option<On>) -> Result<Stand, Failure> {
    let all = all(home)?;
    let fits = |stand: &&Stand| stand.stack == stack && on.is_none_or(|on| stand.world == WorldName::from(on));
    match all.iter().filter(fits).collect::<Vec<_>>().as_slice() {
        [stand] => Ok((*stand).clone()),
        [] => {
            let next = match closest(stack, all.iter().map(|stand| stand.stack.as_str())) {
                Some(closest) if closest != stack => format!("did you mean `{closest}`?"),
                _ => "`tubectl state list` shows what this home knows".to_owned(),
            };
            let what = format!("nothing is known of `{stack}` here");
            Err(Failure::said(Kind::Yours, what, next))
        }
        several => {
            let places: Vec<String> = several.iter().map(|stand| stand.place()).collect();
            let what = format!("`{stack}` stands in {}", places.join(" and in "));
            Err(Failure::said(Kind::Yours, what, "say which one with --on"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_folder_says_what_stands_where() {
        let check = |name: &str, expected: Option<(&str, &str)>| {
            let stand = Stand::of_folder(name);
            let found = stand
                .as_ref()
                .map(|stand| (stand.region.as_str(), stand.stack.as_str()));
            assert_eq!(found, expected, "{name}");
        };
        check("local-123456789012-eu-west-1-tube", Some(("eu-west-1", "tube")));
        check(
            "aws-123456789012-us-gov-west-1-my-tube-2",
            Some(("us-gov-west-1", "my-tube-2")),
        );
        check("aws-123456789012-eu-west-1", None);
        check("moon-123456789012-eu-west-1-tube", None);
        check("local", None);
    }

    #[test]
    fn a_stack_is_found_where_its_journal_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = Utf8Path::from_path(folder.path()).unwrap();
        let home = Home::Folder(path.to_owned());
        let store = home.journal(WorldName::Local, "123456789012", "eu-west-1", "tube");
        store.append("{}").unwrap();
        let found = one(path, "tube", None).unwrap();
        assert_eq!(found.journal(&home).name(), store.name());
        assert_eq!(one(path, "tub", None).unwrap_err().hints, ["did you mean `tube`?"]);
        home.journal(WorldName::Aws, "210987654321", "eu-west-1", "tube")
            .append("{}")
            .unwrap();
        let several = one(path, "tube", None).unwrap_err();
        assert!(several.report().contains("say which one with --on"), "{several}");
        assert_eq!(one(path, "tube", Some(On::Aws)).unwrap().account, "210987654321");
    }
}
