//! The environment: every variable that tubectl reads, in one place. AWS's own are read by AWS's SDK.

use std::ffi::OsString;
use std::path::PathBuf;

use camino::Utf8PathBuf;
use clap::ValueEnum;
use thiserror::Error;

use crate::commands::args::On;
use crate::error::Hint;

/// What the environment says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Environment {
    /// Where tubectl keeps state, cache and the local world.
    pub(crate) home: Utf8PathBuf,
    /// The world to act on where the command line names none.
    pub(crate) on: Option<On>,
}

/// Why the environment cannot be used.
#[derive(Debug, Error, PartialEq, Eq)]
pub(crate) enum EnvironmentError {
    /// No variable says where to keep things.
    #[error("there is no place to keep state: neither TUBECTL_HOME, XDG_STATE_HOME nor HOME is set")]
    Homeless,
    /// A path is not UTF-8.
    #[error("{variable} is `{}`, which is not UTF-8", .path.display())]
    NotUtf8 {
        /// The variable.
        variable: &'static str,
        /// What it holds.
        path: PathBuf,
    },
    /// There is no such world.
    #[error("TUBECTL_ON is `{0}`, and there is no such world")]
    UnknownWorld(String),
}

impl Hint for EnvironmentError {
    fn hints(&self) -> Vec<String> {
        match self {
            Self::Homeless | Self::NotUtf8 { .. } => {
                vec!["set TUBECTL_HOME to a folder that tubectl may write to".to_owned()]
            }
            Self::UnknownWorld(_) => vec!["set it to `local` or `aws`, or unset it".to_owned()],
        }
    }
}

impl Environment {
    /// Reads the process's environment.
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads it")]
    pub(crate) fn read() -> Result<Self, EnvironmentError> {
        Self::of(|name| std::env::var_os(name))
    }

    /// Reads an environment. An empty variable is one that is not set.
    fn of(variable: impl Fn(&str) -> Option<OsString>) -> Result<Self, EnvironmentError> {
        let path = |name: &'static str| {
            let value = variable(name).filter(|value| !value.is_empty());
            let utf8 = |value| {
                Utf8PathBuf::from_path_buf(PathBuf::from(value))
                    .map_err(|path| EnvironmentError::NotUtf8 { variable: name, path })
            };
            value.map(utf8).transpose()
        };
        let home = if let Some(home) = path("TUBECTL_HOME")? {
            home
        } else if let Some(state) = path("XDG_STATE_HOME")?.filter(|state| state.is_absolute()) {
            // A relative one is to be ignored, by the XDG rules.
            state.join("tubectl")
        } else {
            let home = path("HOME")?.ok_or(EnvironmentError::Homeless)?;
            home.join(".local/state/tubectl")
        };
        let on = variable("TUBECTL_ON").filter(|value| !value.is_empty());
        let world = |value: OsString| {
            let text = value.to_string_lossy();
            On::from_str(&text, false).map_err(|_| EnvironmentError::UnknownWorld(text.into_owned()))
        };
        Ok(Self {
            home,
            on: on.map(world).transpose()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(variables: &[(&str, &str)]) -> Result<Environment, EnvironmentError> {
        Environment::of(|name| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| OsString::from(value))
        })
    }

    #[test]
    fn the_home_is_the_first_that_is_named() {
        let check = |variables: &[(&str, &str)], expected: &str| assert_eq!(of(variables).unwrap().home, expected);
        check(
            &[("TUBECTL_HOME", "/t"), ("XDG_STATE_HOME", "/x"), ("HOME", "/h")],
            "/t",
        );
        check(&[("XDG_STATE_HOME", "/x"), ("HOME", "/h")], "/x/tubectl");
        check(
            &[("XDG_STATE_HOME", "relative"), ("HOME", "/h")],
            "/h/.local/state/tubectl",
        );
        check(&[("TUBECTL_HOME", ""), ("HOME", "/h")], "/h/.local/state/tubectl");
        assert_eq!(of(&[]), Err(EnvironmentError::Homeless));
    }

    #[test]
    fn a_world_is_known_or_refused() {
        assert_eq!(of(&[("HOME", "/h"), ("TUBECTL_ON", "aws")]).unwrap().on, Some(On::Aws));
        let error = of(&[("HOME", "/h"), ("TUBECTL_ON", "moon")]).unwrap_err();
        assert_eq!(error.to_string(), "TUBECTL_ON is `moon`, and there is no such world");
    }
}
