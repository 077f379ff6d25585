//! What is asked: the audience's questions while there are any, ten of our own until then.
//!
//! The list is read in pages and only ever asks for what came after the last one seen; a new session starts afresh.

use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;

/// The least time between two looks at the audience's list.
pub const REFRESH_INTERVAL: Duration = Duration::from_secs(10);

/// More than any audience types; the list stops growing there.
const MOST_QUESTIONS: usize = 10_000;

/// Asked while the audience has asked nothing.
pub const DEFAULT_QUESTIONS: [&str; 10] = [
    "Why does the Circle line no longer run in a circle?",
    "Which Underground station lies furthest below the ground?",
    "How do train drivers know when the platform doors line up?",
    "What happens on the tracks between the last train and the first?",
    "Why is it hot on the Central line even in winter?",
    "Who decided that stations on the map should be evenly spaced?",
    "How many escalators would it take to reach the sea?",
    "What is the quickest way from Paddington to Canary Wharf?",
    "Why do some platforms curve so much that there is a gap to mind?",
    "If the whole audience boards at one stop, how many trains do we need?",
];

/// The pool that questions are picked from.
#[derive(Debug, Default)]
pub(crate) struct Questions {
    session: Option<String>,
    audience: Vec<Arc<str>>,
    last: Option<String>,
}

/// Whether the list has another page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Page {
    Last,
    More,
}

/// One page of the audience's list.
#[derive(Deserialize)]
struct Listing {
    #[serde(rename = "sessionId")]
    session: Option<String>,
    questions: Vec<Listed>,
    next: Option<String>,
}

#[derive(Deserialize)]
struct Listed {
    id: String,
    question: String,
}

impl Questions {
    /// Picks one by a seeded number.
    pub(crate) fn pick(&self, rng: &mut fastrand::Rng) -> Arc<str> {
        match rng.choice(&self.audience) {
            Some(question) => question.clone(),
            None => DEFAULT_QUESTIONS[rng.usize(..DEFAULT_QUESTIONS.len())].into(),
        }
    }

    /// The query that asks for what is not known yet.
    pub(crate) fn query(&self) -> String {
        match &self.last {
            Some(last) => format!("limit=500&after={}", escape(last)),
            None => "limit=500".to_owned(),
        }
    }

    /// Takes in one page; what cannot be read changes nothing.
    pub(crate) fn take(&mut self, body: &[u8]) -> Page {
        let Ok(listing) = serde_json::from_slice::<Listing>(body) else {
            return Page::Last;
        };
        if self.session.is_some() && self.session != listing.session {
            // The list was asked for what came after a question of a session that is over: read it whole next time.
            *self = Self {
                session: listing.session,
                ..Self::default()
            };
            return Page::Last;
        }
        self.session = listing.session;
        let more = listing.next.is_some() && !listing.questions.is_empty() && self.audience.len() < MOST_QUESTIONS;
        for listed in listing.questions {
            self.last = Some(listed.id);
            if self.audience.len() < MOST_QUESTIONS {
                self.audience.push(listed.question.into());
            }
        }
        if more { Page::More } else { Page::Last }
    }
}

/// Percent-encodes what is not plain in a query.
fn escape(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes()
        .map(|byte| {
            if plain(byte) {
                char::from(byte).to_string()
            } else {
                format!("%{byte:02X}")
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn page(session: &str, questions: &[&str], next: Option<&str>) -> Vec<u8> {
        let listed: Vec<_> = questions
            .iter()
            .map(|text| serde_json::json!({"id": format!("q-{text}"), "question": text}))
            .collect();
        serde_json::json!({"sessionId": session, "questions": listed, "next": next})
            .to_string()
            .into_bytes()
    }

    fn picked(questions: &Questions) -> BTreeSet<String> {
        let mut rng = fastrand::Rng::with_seed(1);
        (0..500).map(|_| questions.pick(&mut rng).to_string()).collect()
    }

    #[test]
    fn all_ten_defaults_are_asked_while_the_audience_is_silent() {
        assert_eq!(
            picked(&Questions::default()),
            DEFAULT_QUESTIONS.map(str::to_owned).into()
        );
    }

    #[test]
    fn the_audience_replaces_the_defaults_page_by_page() {
        let mut questions = Questions::default();
        assert_eq!(questions.query(), "limit=500");
        assert_eq!(questions.take(&page("s", &["a", "b"], Some("q-b"))), Page::More);
        assert_eq!(questions.query(), "limit=500&after=q-b");
        assert_eq!(questions.take(&page("s", &["c"], None)), Page::Last);
        assert_eq!(picked(&questions), ["a", "b", "c"].map(str::to_owned).into());
    }

    #[test]
    fn a_new_session_starts_afresh() {
        let mut questions = Questions::default();
        questions.take(&page("s", &["old"], None));
        assert_eq!(questions.take(&page("t", &[], None)), Page::Last);
        assert_eq!(questions.query(), "limit=500");
        questions.take(&page("t", &["new"], None));
        assert_eq!(picked(&questions), ["new".to_owned()].into());
    }

    #[test]
    fn an_unreadable_list_keeps_what_is_known() {
        let mut questions = Questions::default();
        questions.take(&page("s", &["a"], None));
        assert_eq!(questions.take(b"<html>502</html>"), Page::Last);
        assert_eq!(picked(&questions), ["a".to_owned()].into());
    }

    #[test]
    fn a_strange_id_cannot_break_the_query() {
        let mut questions = Questions::default();
        questions.take(&page("s", &["a&limit=0 é"], None));
        assert_eq!(questions.query(), "limit=500&after=q-a%26limit%3D0%20%C3%A9");
    }
}
