//! What is stored, and under which key. Gateway and director both read this page and nothing else.
//!
//! | key | what | written by |
//! |---|---|---|
//! | `current/questions/<id>.json` | [`StoredQuestion`] | the gateway, before it asks the model |
//! | `current/responses/<id>.json` | [`StoredResponse`] | the gateway, before it says thank you |
//! | `current/winners.json` | [`StoredWinners`] | the director, once it drew |
//! | `current/session.json` | [`StoredSession`] | the director, when a session begins |
//! | `archive/<stamp>/..` | everything of `current/`, moved | the director, when the next session begins |
//!
//! Every record names its session, so that one left behind in `current/` is never taken for a new one. A response's
//! id is derived from session and browser: the same browser always writes the same key, however often it tries and
//! whichever replica it reaches.

use std::fmt;

use jiff::Timestamp;
use serde::Deserialize;
use serde::Serialize;
use sha2::Digest as _;
use sha2::Sha256;

/// A question of the audience.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StoredQuestion {
    /// Unique, and in the order of arrival.
    pub id: String,
    /// The session in which it was asked.
    pub session: String,
    /// What was asked.
    pub question: String,
    /// As how many requests the load sends it.
    pub multiplier: u32,
    /// When it arrived.
    pub submitted_at: Timestamp,
}

/// An answer to the survey.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StoredResponse {
    /// Unique to browser and session.
    pub id: ResponseId,
    /// The session in which it was given.
    pub session: String,
    /// From 1 to 5.
    pub rating: u8,
    /// Where the person works, if they said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub company: Option<String>,
    /// What else they said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub feedback: Option<String>,
    /// When it arrived.
    pub submitted_at: Timestamp,
}

/// The outcome of a draw.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StoredWinners {
    /// The session whose responses took part.
    pub session: String,
    /// Who won: bare ids, as the browsers hold them.
    pub winners: Vec<ResponseId>,
    /// How many took part.
    pub responses: u64,
    /// What the draw was seeded with.
    pub seed: u64,
    /// When it was drawn.
    pub drawn_at: Timestamp,
}

/// The session that is on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StoredSession {
    /// Its id.
    pub session: String,
    /// When it began.
    pub started_at: Timestamp,
}

/// Names a survey response, and whoever holds the browser that gave it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct ResponseId(
    // Invariant: `r-` and 32 lower-case hexadecimal digits.
    String,
);

impl ResponseId {
    /// The id of a browser's response in a session; it tells nothing of either.
    pub fn of(session: &str, browser: &str) -> Self {
        let digest = Sha256::new()
            .chain_update(session)
            .chain_update([0])
            .chain_update(browser)
            .finalize();
        let number = digest
            .iter()
            .take(16)
            .fold(0_u128, |number, byte| number << 8 | u128::from(*byte));
        Self(format!("r-{number:032x}"))
    }

    /// The id as it was written by an operator or found in a key.
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix("r-")?;
        let plain = digits.len() == 32 && digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        plain.then(|| Self(text.to_owned()))
    }

    /// The short form that a winner's phone shows, and that is called out on stage.
    pub fn ticket(&self) -> String {
        let short = self.0[self.0.len() - 6..].to_ascii_uppercase();
        let (first, second) = short.split_at(3);
        format!("{first}-{second}")
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for ResponseId {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Self::parse(&text).ok_or_else(|| format!("`{text}` is not the id of a response"))
    }
}

impl fmt::Display for ResponseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The names under which things are stored.
pub mod key {
    use super::ResponseId;

    /// Everything of the session that is on.
    pub const CURRENT: &str = "current/";
    /// Its questions.
    pub const QUESTIONS: &str = "current/questions/";
    /// Its survey responses.
    pub const RESPONSES: &str = "current/responses/";
    /// Its winners.
    pub const WINNERS: &str = "current/winners.json";
    /// The session itself.
    pub const SESSION: &str = "current/session.json";
    /// Sessions that are over.
    pub const ARCHIVE: &str = "archive/";

    /// Where a question is.
    pub fn question(id: &str) -> String {
        format!("{QUESTIONS}{id}.json")
    }

    /// Where a response is.
    pub fn response(id: &ResponseId) -> String {
        format!("{RESPONSES}{id}.json")
    }

    /// The response that a key is of, if it is one.
    pub fn response_id(key: &str) -> Option<ResponseId> {
        ResponseId::parse(key.strip_prefix(RESPONSES)?.strip_suffix(".json")?)
    }

    /// Where a key of the current session goes when that session is archived under `stamp`.
    pub fn archived(stamp: &str, key: &str) -> Option<String> {
        Some(format!("{ARCHIVE}{stamp}/{}", key.strip_prefix(CURRENT)?))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_response_id_survives_the_way_through_its_key() {
        let id = ResponseId::of("monday", "browser-0123456789");
        assert_eq!(key::response_id(&key::response(&id)), Some(id));
    }

    #[test]
    fn browser_and_session_both_count() {
        let ids: BTreeSet<ResponseId> = [("a", "bc"), ("ab", "c"), ("a", "bd"), ("b", "bc")]
            .iter()
            .map(|(session, browser)| ResponseId::of(session, browser))
            .collect();
        assert_eq!(ids.len(), 4);
        assert_eq!(ResponseId::of("a", "bc"), ResponseId::of("a", "bc"));
    }

    #[test]
    fn the_ticket_is_what_the_page_shows() {
        let id = ResponseId::parse("r-0123456789abcdef0123456789a3f9c2").unwrap();
        assert_eq!(id.ticket(), "A3F-9C2");
    }

    #[test]
    fn text_that_is_no_id_is_not_read_as_one() {
        let id: Result<ResponseId, _> = serde_json::from_str("\"r-0\"");
        assert_eq!(id.unwrap_err().to_string(), "`r-0` is not the id of a response");
    }

    #[test]
    fn keys_that_are_no_response_are_not_taken_for_one() {
        for key in [
            "current/responses/",
            "current/winners.json",
            "current/responses/../x.json",
            "archive/1/responses/r.json",
        ] {
            assert_eq!(key::response_id(key), None, "for `{key}`");
        }
    }

    #[test]
    fn archiving_moves_what_is_current_and_nothing_else() {
        assert_eq!(
            key::archived("20261122-190000", key::WINNERS).as_deref(),
            Some("archive/20261122-190000/winners.json")
        );
        assert_eq!(key::archived("20261122-190000", "archive/x/winners.json"), None);
    }
}
