//! Which stack is meant, and where it is: what is to be made goes where it is said, what stands is found where it
//! stands. An empty place is never taken for the stack's.

use camino::Utf8Path;

use crate::commands::args::On;
use crate::commands::args::PlaceArguments;
use crate::commands::args::StackArguments;
use crate::commands::context::WorldName;
use crate::commands::stands;
use crate::commands::stands::Stand;
use crate::error::Failure;
use crate::error::Kind;
use crate::stack::load;
use crate::stack::load::Files;
use crate::stack::load::Settings;

/// A stack and its place.
#[derive(Clone, Debug)]
pub struct Meant {
    /// The stack's files.
    pub files: Files,
    /// What the user set; the stack's region is the place's.
    pub settings: Settings,
    /// The place.
    pub place: PlaceArguments,
}

/// The stack and its place as they are said: for what may be brought to a new place.
pub fn said(stack: &StackArguments, place: &PlaceArguments) -> Result<Meant, Failure> {
    let (files, settings) = stack.read()?;
    let settings = match &place.region {
        Some(region) => load::in_region(&files, settings, region).map_err(Failure::yours)?,
        None => settings,
    };
    Ok(Meant {
        files,
        settings,
        place: place.clone(),
    })
}

/// The stack in the place where this home knows that it stands: for what is done to a stack that stands. Where the home
/// knows of none, as on another machine, it is looked for where it is said to be.
pub fn standing(stack: &StackArguments, place: &PlaceArguments, home: &Utf8Path) -> Result<Meant, Failure> {
    let meant = said(stack, place)?;
    let region = load::region(&meant.files, &meant.settings).map_err(Failure::yours)?;
    let usual = load::region(&meant.files, &Settings::default()).map_err(Failure::yours)?;
    let name = load::name(&meant.files, &meant.settings).map_err(Failure::yours)?;
    let wanted = Wanted {
        world: place.on.map(WorldName::from),
        region: (place.region.is_some() || region != usual).then_some(region),
    };
    let stands = known(&name, home)?;
    let Some(stand) = wanted.of(&name, &stands)? else {
        return Ok(meant);
    };
    let settings = load::in_region(&meant.files, meant.settings, &stand.region).map_err(Failure::yours)?;
    let place = PlaceArguments {
        on: Some(On::from(stand.world)),
        region: Some(stand.region.clone()),
        ..meant.place
    };
    Ok(Meant {
        settings,
        place,
        ..meant
    })
}

/// Where this home knows that a stack of that name stands.
fn known(name: &str, home: &Utf8Path) -> Result<Vec<Stand>, Failure> {
    let mut known = stands::all(home)?;
    known.retain(|stand| stand.stack == name && stand.has_begun(home));
    Ok(known)
}

/// What was said of the place.
struct Wanted {
    world: Option<WorldName>,
    region: Option<String>,
}

impl Wanted {
    /// The one stand that fits; none where no stand is known at all.
    fn of<'a>(&self, name: &str, stands: &'a [Stand]) -> Result<Option<&'a Stand>, Failure> {
        let fits = |stand: &&Stand| {
            self.world.is_none_or(|world| world == stand.world)
                && self.region.as_ref().is_none_or(|region| *region == stand.region)
        };
        let told = |stands: &[&Stand]| {
            let places: Vec<String> = stands.iter().map(|stand| stand.place()).collect();
            format!("`{name}` stands in {}", places.join(" and in "))
        };
        match stands.iter().filter(fits).collect::<Vec<_>>().as_slice() {
            [stand] => Ok(Some(stand)),
            [] if stands.is_empty() => Ok(None),
            [] => {
                let what = format!(
                    "{}, and not where it is looked for",
                    told(&stands.iter().collect::<Vec<_>>())
                );
                Err(Failure::said(
                    Kind::Yours,
                    what,
                    "name that place, or leave --on and --region out",
                ))
            }
            several => Err(Failure::said(
                Kind::Yours,
                told(several),
                "say which one with --on and --region",
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stand(region: &str) -> Stand {
        Stand {
            stack: "tube".to_owned(),
            world: WorldName::Local,
            account: "123456789012".to_owned(),
            region: region.to_owned(),
        }
    }

    fn check(stands: &[&str], region: Option<&str>, expected: Result<Option<&str>, &str>) {
        let stands: Vec<Stand> = stands.iter().map(|region| stand(region)).collect();
        let wanted = Wanted {
            world: None,
            region: region.map(str::to_owned),
        };
        let found = wanted
            .of("tube", &stands)
            .map(|found| found.map(|stand| stand.region.as_str()));
        match (found, expected) {
            (Ok(found), Ok(expected)) => assert_eq!(found, expected),
            (Err(failure), Err(expected)) => assert!(failure.report().contains(expected), "{}", failure.report()),
            (found, expected) => panic!("{:?} is not {expected:?}", found.map_err(|failure| failure.report())),
        }
    }

    #[test]
    fn a_stack_is_followed_to_where_it_stands_and_never_guessed() {
        let both = ["eu-west-1", "us-east-1"];
        check(&[], None, Ok(None));
        check(&[], Some("us-east-1"), Ok(None));
        check(&["us-east-1"], None, Ok(Some("us-east-1")));
        check(&both, Some("us-east-1"), Ok(Some("us-east-1")));
        check(&both, None, Err("say which one with --on and --region"));
        check(&["us-east-1"], Some("eu-west-1"), Err("and not where it is looked for"));
    }
}
