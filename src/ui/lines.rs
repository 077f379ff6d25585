//! Events as plain lines: for pipes, logs and terminals that cannot redraw.

use std::time::Duration;

use jiff::Timestamp;

use crate::event::Event;
use crate::event::EventKind;
use crate::event::minutes;

/// Draws events as lines, with the time since the first one.
#[derive(Debug, Default)]
pub struct Lines {
    begun: Option<Timestamp>,
}

impl Lines {
    /// The line that tells of an event; none for what would only repeat.
    pub fn line(&mut self, event: &Event) -> Option<String> {
        let begun = *self.begun.get_or_insert(event.at);
        let elapsed = Duration::try_from(event.at.duration_since(begun)).unwrap_or_default();
        let clock = format!("{:>2}:{:02}", elapsed.as_secs() / 60, elapsed.as_secs() % 60);
        told(&event.kind).map(|text| format!("{clock}  {text}"))
    }
}

fn told(kind: &EventKind) -> Option<String> {
    Some(match kind {
        EventKind::Begun {
            command,
            stack,
            world,
            account,
            region,
            ..
        } => {
            format!("{command} {stack}: account {account}, {region}, world {world}")
        }
        EventKind::Started { id, action, expected } if expected.as_secs() >= 60 => {
            format!("{action} {id} (about {})", minutes(*expected))
        }
        EventKind::Applied { id, took } if took.as_secs() >= 1 => format!("ready   {id} ({})", minutes(*took)),
        EventKind::Applied { id, .. } => format!("ready   {id}"),
        EventKind::Failed { id, error } => format!("FAILED  {id}: {error}"),
        EventKind::Skipped { id, because } => format!("skipped {id}, because {because} failed"),
        EventKind::Phase { name } => format!("-- {name}"),
        EventKind::Removed { kind, name } => format!("gone    {kind} {name}"),
        EventKind::Act { name, about } => format!("== {name}: {about}"),
        EventKind::Cue { name, what } => format!(">> {name}: {what}"),
        EventKind::Note { text } => text.clone(),
        EventKind::Started { .. } | EventKind::Waiting { .. } | EventKind::Sample(_) => return None,
    })
}
