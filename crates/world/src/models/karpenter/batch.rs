//! The window in which pods are gathered before a round of planning.

use jiff::SignedDuration;
use jiff::Timestamp;
use serde::Deserialize;
use serde::Serialize;

const IDLE: SignedDuration = SignedDuration::from_secs(1);
const LONGEST: SignedDuration = SignedDuration::from_secs(10);

/// Opens with the first pod that fits nowhere, closes a second after the last new one, but not later than ten seconds
/// after the first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Batch {
    window: Option<(Timestamp, Timestamp)>,
}

impl Batch {
    /// A pod that was not there before fits nowhere.
    pub fn see(&mut self, now: Timestamp) {
        let first = self.window.map_or(now, |(first, _)| first);
        self.window = Some((first, now));
    }

    /// When the window closes, if it is open.
    pub fn closes(&self) -> Option<Timestamp> {
        let (first, last) = self.window?;
        Some((last + IDLE).min(first + LONGEST))
    }

    /// Whether the window is over: then it is time to plan, and the next window is not open yet.
    pub fn take(&mut self, now: Timestamp) -> bool {
        let over = self.closes().is_some_and(|closes| closes <= now);
        if over {
            self.window = None;
        }
        over
    }
}
