//! Events as newline-delimited JSON. The first event of a command, `begun`, carries the version of the format.

use crate::event::Event;

/// An event in one line.
pub fn line(event: &Event) -> String {
    serde_json::to_string(event).expect("events are plain data")
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::event;
    use crate::event::EventKind;

    #[test]
    fn a_line_is_one_object_with_its_time_and_its_kind() {
        let kind = EventKind::Begun {
            command: "up".to_owned(),
            stack: "tube".to_owned(),
            world: "local".to_owned(),
            account: "123456789012".to_owned(),
            region: "eu-west-1".to_owned(),
            format: event::FORMAT,
        };
        let at = Timestamp::UNIX_EPOCH;
        insta::assert_snapshot!(line(&Event { at, kind }), @r#"{"at":"1970-01-01T00:00:00Z","event":"begun","command":"up","stack":"tube","world":"local","account":"123456789012","region":"eu-west-1","format":1}"#);
    }

    #[test]
    fn what_people_wrote_does_not_break_the_line() {
        let text = "two\nlines \"and\" quotes".to_owned();
        let at = Timestamp::UNIX_EPOCH;
        let line = line(&Event {
            at,
            kind: EventKind::Note { text },
        });
        assert_eq!(line.lines().count(), 1);
    }
}
