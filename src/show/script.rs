//! The script: acts, reminders and cues in order, scaled to the minutes that the show is played in. Pure.

use std::time::Duration;

use crate::stack::demo::Demo;

/// A show's moments, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Script {
    /// How long the show is.
    pub length: Duration,
    /// What happens, in the order in which it does.
    pub moments: Vec<Moment>,
}

/// Something that happens at its time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moment {
    /// When, from the beginning of the show.
    pub at: Duration,
    /// What.
    pub what: What,
}

/// What happens at a moment; in this order where several come together.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum What {
    /// Something is said to the presenter.
    Reminder(String),
    /// An act begins.
    Act {
        /// Its name.
        name: String,
        /// What happens in it.
        about: String,
    },
    /// A cue is due.
    Cue(String),
}

impl Script {
    /// The script of a show that is played in `minutes`.
    pub fn of(demo: &Demo, minutes: u32) -> Self {
        let scale = |time: Duration| scaled(time, demo, minutes);
        let mut moments = Vec::new();
        for act in &demo.acts {
            let (name, about) = (act.value.name.clone(), act.value.about.clone());
            moments.push(Moment {
                at: scale(act.value.from),
                what: What::Act { name, about },
            });
        }
        for (name, cue) in &demo.cues {
            moments.push(Moment {
                at: scale(cue.value.at),
                what: What::Cue(name.clone()),
            });
        }
        for reminder in &demo.reminders {
            // The loader lets only reminders of cues through that there are.
            if let Some(cue) = demo.cues.get(&reminder.cue.value) {
                moments.push(Moment {
                    at: scale(cue.value.at.saturating_sub(reminder.ahead)),
                    what: What::Reminder(reminder.say.clone()),
                });
            }
        }
        moments.sort_by(|one, other| (one.at, &one.what).cmp(&(other.at, &other.what)));
        Self {
            length: Duration::from_mins(minutes.into()),
            moments,
        }
    }

    /// The next cue, and how long it is until then.
    pub fn next_cue(&self, elapsed: Duration) -> Option<(&str, Duration)> {
        self.moments.iter().find_map(|moment| match &moment.what {
            What::Cue(name) if moment.at > elapsed => Some((name.as_str(), moment.at.saturating_sub(elapsed))),
            _ => None,
        })
    }
}

/// The show as it is played in `minutes`: load and arrivals stretched or pressed like everything else. What a phone
/// does by itself, its polls and pauses, stays as it is.
pub fn in_minutes(demo: &Demo, minutes: u32) -> Demo {
    let mut played = demo.clone();
    let scale = |time: &mut Duration| *time = scaled(*time, demo, minutes);
    for stage in &mut played.load.stages.value {
        scale(&mut stage.over);
    }
    scale(&mut played.audience.arrive.from);
    scale(&mut played.audience.arrive.to);
    scale(&mut played.audience.survey.within);
    played
}

fn scaled(time: Duration, demo: &Demo, minutes: u32) -> Duration {
    let time = time * minutes / demo.minutes.value.max(1);
    // Whole milliseconds: what is shown and what is waited for are the same.
    Duration::from_millis(u64::try_from(time.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use crate::stack::demo;
    use crate::stack::file::File;

    use super::*;

    fn tube() -> Demo {
        let (file, _) = File::new("demo.yaml", include_bytes!("../../stacks/tube/demo.yaml"));
        let (demo, problems) = demo::read(&file);
        assert!(problems.is_empty());
        demo.unwrap()
    }

    fn told(script: &Script) -> Vec<String> {
        let told = |moment: &Moment| {
            let what = match &moment.what {
                What::Act { name, .. } => format!("act {name}"),
                What::Cue(name) => format!("cue {name}"),
                What::Reminder(say) => say.split(':').next().unwrap().to_owned(),
            };
            format!("{}s {what}", moment.at.as_secs())
        };
        script.moments.iter().map(told).collect()
    }

    #[test]
    fn the_shipped_show_is_told_in_order() {
        assert_eq!(
            told(&Script::of(&tube(), 30)),
            [
                "0s act questions",
                "120s act talk",
                "1440s One minute to the survey",
                "1500s act survey",
                "1500s cue survey",
                "1620s One minute to the winners",
                "1680s act winners",
                "1680s cue winners",
                "1770s Half a minute left",
                "1800s cue close",
            ]
        );
    }

    #[test]
    fn a_show_in_half_the_time_has_everything_at_half_its_time() {
        let (whole, half) = (Script::of(&tube(), 30), Script::of(&tube(), 15));
        assert_eq!(half.length * 2, whole.length);
        for (whole, half) in whole.moments.iter().zip(&half.moments) {
            assert_eq!((half.at * 2, &half.what), (whole.at, &whole.what));
        }
        let load = in_minutes(&tube(), 15).load;
        assert_eq!(
            load.stages.value.iter().map(|stage| stage.over).sum::<Duration>(),
            Duration::from_mins(14)
        );
        assert_eq!(load.pause, tube().load.pause);
    }

    #[test]
    fn the_next_cue_is_the_one_that_is_still_to_come() {
        let script = Script::of(&tube(), 30);
        for (minute, expected) in [
            (0, Some(("survey", 25))),
            (24, Some(("survey", 1))),
            (25, Some(("winners", 3))),
            (30, None),
        ] {
            let next = script.next_cue(Duration::from_mins(minute));
            let expected = expected.map(|(name, ahead)| (name, Duration::from_mins(ahead)));
            assert_eq!(next, expected, "in minute {minute}");
        }
    }
}
