//! What the operator decides: mode, session and winners, and how a `ConfigMap` says so.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use http::uri::Authority;
use serde::Serialize;
use thiserror::Error;

use crate::record::ResponseId;

/// What the audience is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Questions for the model.
    Quiz,
    /// Opinions, and then a draw.
    Survey,
    /// Nothing any more.
    Closed,
}

/// The part of the settings that changes while the show is on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Show {
    /// What the audience is asked for.
    pub mode: Mode,
    /// Which session is on; a new one starts with no questions and lets every browser vote again.
    pub session: String,
    /// Who won; `None` until the draw.
    pub winners: Option<Vec<ResponseId>>,
}

/// What a gateway is started with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Mode, session and winners at the start.
    pub show: Show,
    /// The name under which the model is deployed.
    pub model: String,
    /// The model server, such as `vllm-service:8000`.
    pub upstream: Authority,
}

/// Configuration that makes no show.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ShowError {
    /// A mode that does not exist.
    #[error("`{key}` is `{value}`; set it to quiz, survey or closed", key = Show::MODE)]
    Mode {
        /// What was configured.
        value: String,
    },
    /// A winner that is no response.
    #[error("`{value}` in `{key}` is not the id of a response; list ids as the draw gave them", key = Show::WINNERS)]
    Winner {
        /// What was configured.
        value: String,
    },
}

impl Show {
    /// The key of a `ConfigMap` that holds the mode.
    pub const MODE: &str = "DEMO_MODE";
    /// The key that holds the session.
    pub const SESSION: &str = "SESSION_ID";
    /// The key that holds the winners, separated by commas; it is absent until the draw.
    pub const WINNERS: &str = "WINNERS";

    /// Questions, in a session.
    pub fn quiz(session: &str) -> Self {
        Self {
            mode: Mode::Quiz,
            session: session.to_owned(),
            winners: None,
        }
    }

    /// Reads the data of a `ConfigMap`; without a mode it is a quiz, and other keys are somebody else's.
    pub fn from_config(data: &BTreeMap<String, String>) -> Result<Self, ShowError> {
        let mode = data.get(Self::MODE).map_or(Ok(Mode::Quiz), |value| value.parse())?;
        let winners = match data.get(Self::WINNERS) {
            Some(list) => Some(read_winners(list)?),
            None => None,
        };
        Ok(Self {
            mode,
            session: data.get(Self::SESSION).cloned().unwrap_or_default(),
            winners,
        })
    }

    /// Writes the data of a `ConfigMap`.
    pub fn to_config(&self) -> BTreeMap<String, String> {
        let mut data = BTreeMap::from([
            (Self::MODE.to_owned(), self.mode.to_string()),
            (Self::SESSION.to_owned(), self.session.clone()),
        ]);
        if let Some(winners) = &self.winners {
            let winners: Vec<&str> = winners.iter().map(ResponseId::as_str).collect();
            data.insert(Self::WINNERS.to_owned(), winners.join(","));
        }
        data
    }
}

impl FromStr for Mode {
    type Err = ShowError;

    fn from_str(text: &str) -> Result<Self, ShowError> {
        match text.trim() {
            "quiz" => Ok(Self::Quiz),
            "survey" => Ok(Self::Survey),
            "closed" => Ok(Self::Closed),
            _ => Err(ShowError::Mode { value: text.to_owned() }),
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Quiz => "quiz",
            Self::Survey => "survey",
            Self::Closed => "closed",
        })
    }
}

fn read_winners(list: &str) -> Result<Vec<ResponseId>, ShowError> {
    let ids = list.split(',').map(str::trim).filter(|id| !id.is_empty());
    ids.map(|id| ResponseId::parse(id).ok_or_else(|| ShowError::Winner { value: id.to_owned() }))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect()
    }

    #[test]
    fn a_show_survives_the_way_through_a_config_map() {
        let winners = vec![ResponseId::of("s", "a"), ResponseId::of("s", "b")];
        for winners in [None, Some(vec![]), Some(winners)] {
            let show = Show {
                mode: Mode::Survey,
                session: "s".to_owned(),
                winners,
            };
            assert_eq!(Show::from_config(&show.to_config()), Ok(show));
        }
    }

    #[test]
    fn an_empty_config_map_is_a_quiz() {
        assert_eq!(Show::from_config(&data(&[("OTHER", "1")])), Ok(Show::quiz("")));
    }

    #[test]
    fn what_is_configured_wrongly_says_what_to_set() {
        let error = Show::from_config(&data(&[("DEMO_MODE", "quizz")])).unwrap_err();
        assert_eq!(
            error.to_string(),
            "`DEMO_MODE` is `quizz`; set it to quiz, survey or closed"
        );
        let error = Show::from_config(&data(&[("WINNERS", "current/responses/r-1.json")])).unwrap_err();
        assert_eq!(
            error.to_string(),
            "`current/responses/r-1.json` in `WINNERS` is not the id of a response; list ids as the draw gave them"
        );
    }
}
