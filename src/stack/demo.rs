//! What happens on a stack: acts, cues, reminders, load and a stand-in audience, as `demo.yaml` tells it.

use std::collections::BTreeMap;
use std::time::Duration;

use tubectl_load::Threshold;
use tubectl_load::format_duration;

use crate::error::closest;
use crate::stack::declare::Declared as _;
use crate::stack::declare::ObjectName;
use crate::stack::declare::Placed;
use crate::stack::declare::Reader;
use crate::stack::declare::Share;
use crate::stack::declare::Within;
use crate::stack::declare::choice;
use crate::stack::declare::declared;
use crate::stack::file::File;
use crate::stack::file::Key;
use crate::stack::problem::Problem;

declared! {
    /// A show of `minutes`; its times are scaled to the length that it is played in.
    pub struct Demo {
        /// The show's name.
        pub demo: String,
        /// What it shows.
        pub about: String = String::new(),
        /// How long it is as written.
        pub minutes: Placed<u32>,
        /// Where the cues are written, and what the audience opens.
        pub page: Page,
        /// What scales.
        pub watch: Watch,
        /// The script: acts that follow each other without a gap.
        pub acts: Vec<Placed<Act>>,
        /// What the operator fires, by name.
        pub cues: BTreeMap<String, Placed<Cue>> = BTreeMap::new(),
        /// What the operator is told ahead of cues.
        pub reminders: Vec<Reminder> = Vec::new(),
        /// What stands in for a thousand phones.
        pub load: Load,
        /// Who plays the audience in a rehearsal.
        pub audience: Audience,
    }
}

declared! {
    /// The audience's page.
    pub struct Page {
        /// The config map that cues are written to.
        pub config_map: ObjectName,
        /// The Ingress that the audience opens.
        pub ingress: ObjectName,
    }
}

declared! {
    /// What scales during the show.
    pub struct Watch {
        /// The Deployment.
        pub deployment: ObjectName,
        /// The scaled object that scales it.
        pub scaled_object: ObjectName,
    }
}

declared! {
    /// A part of the show.
    pub struct Act {
        /// Its name.
        pub name: String,
        /// When it begins.
        pub from: Duration,
        /// When it ends.
        pub to: Duration,
        /// What happens in it.
        pub about: String = String::new(),
    }
}

declared! {
    /// Something that the operator fires.
    pub struct Cue {
        /// When it is due.
        pub at: Duration,
        /// What the page shows from then on.
        pub mode: Option<Mode> = None,
        /// How many winners are drawn.
        pub draw: Option<u32> = None,
        /// What it does.
        pub about: String = String::new(),
    }
}

choice! {
    /// What the page shows.
    pub enum Mode {
        /// Questions.
        Quiz = "quiz",
        /// The survey.
        Survey = "survey",
        /// Thanks.
        Closed = "closed",
    }
}

declared! {
    /// Something said to the operator.
    pub struct Reminder {
        /// The cue that it is about.
        pub cue: Placed<String>,
        /// How long before it.
        pub ahead: Duration,
        /// What is said.
        pub say: String,
    }
}

declared! {
    /// What stands in for a thousand phones.
    pub struct Load {
        /// The number of virtual users over time, from none.
        pub stages: Placed<Vec<Stage>>,
        /// How many times at once each question is sent.
        pub amplification: Within<1, 10_000> = Within(1),
        /// Between an answer and the next question.
        pub pause: Duration = Duration::from_secs(1),
        /// A request that takes longer has failed.
        pub timeout: Duration = Duration::from_mins(2),
        /// The longest answer, in tokens.
        pub max_tokens: u32 = 100,
        /// What must be kept for the show to count as a success.
        pub thresholds: Vec<Threshold> = Vec::new(),
    }
}

declared! {
    /// A ramp of the load.
    pub struct Stage {
        /// How long it takes.
        pub over: Duration,
        /// Virtual users at its end.
        pub users: Within<0, 100_000>,
    }
}

declared! {
    /// People with phones, the same for the same seed.
    pub struct Audience {
        /// Decides everything about them.
        pub seed: u64,
        /// How many there are.
        pub phones: Within<0, 100_000>,
        /// When they come.
        pub arrive: Period,
        /// How often a phone asks what mode the page is in.
        pub poll: Placed<Duration>,
        /// How many questions each asks.
        pub questions: Count,
        /// How far apart.
        pub pause: Pause,
        /// How they answer the survey.
        pub survey: Survey,
    }
}

declared! {
    /// A part of the show's time.
    pub struct Period {
        /// Its beginning.
        pub from: Duration,
        /// Its end.
        pub to: Duration,
    }
}

declared! {
    /// A number between two others.
    pub struct Count {
        /// The smallest.
        pub least: u32,
        /// The largest.
        pub most: u32,
    }
}

declared! {
    /// A time between two others.
    pub struct Pause {
        /// The shortest.
        pub least: Duration,
        /// The longest.
        pub most: Duration,
    }
}

declared! {
    /// How an audience answers the survey.
    pub struct Survey {
        /// The share of phones that answer.
        pub share: Share,
        /// How soon after the page has switched.
        pub within: Duration,
        /// Weights of one star to five.
        pub ratings: Placed<Vec<u32>>,
        /// The share that leaves a company.
        pub company: Share,
        /// The share that leaves a sentence.
        pub feedback: Share,
    }
}

/// The show of a file, and what is wrong with it.
pub fn read(file: &File) -> (Option<Demo>, Vec<Problem>) {
    let (tree, mut problems) = file.tree();
    let Some(tree) = tree else {
        return (None, problems);
    };
    let reader = Reader::new(file);
    let key = Key {
        text: file.path.clone(),
        at: file.beginning(),
    };
    let demo = Demo::read(&reader, &key, &tree);
    if let Some(demo) = &demo {
        check(&reader, demo);
    }
    problems.extend(reader.into_problems());
    (demo, problems)
}

fn check(reader: &Reader<'_>, demo: &Demo) {
    let length = Duration::from_mins(demo.minutes.value.into());
    if demo.minutes.value == 0 {
        reader.report(
            demo.minutes.at,
            "a show of no minutes is none",
            Some("give it time".to_owned()),
        );
    }
    let mut reached = Duration::ZERO;
    for act in &demo.acts {
        let Act { name, from, to, .. } = &act.value;
        if *from != reached {
            let (from, reached) = (format_duration(*from), format_duration(reached));
            let message = format!("`{name}` begins at {from}, and the script is at {reached} there");
            reader.report(act.at, message, Some(format!("let it begin at `{reached}`")));
        }
        if to <= from {
            let hint = "let it end after it has begun".to_owned();
            reader.report(act.at, format!("`{name}` ends before it begins"), Some(hint));
        }
        reached = *to;
    }
    if let Some(last) = demo.acts.last().filter(|act| act.value.to != length) {
        let (to, minutes) = (format_duration(last.value.to), demo.minutes.value);
        let message = format!("the last act ends at {to}, and the show lasts {minutes} minutes");
        reader.report(last.at, message, Some("make the two the same".to_owned()));
    }
    check_cues(reader, demo, length);
    if demo.load.stages.value.is_empty() {
        let hint = "give it at least one, such as `[{over: 2m, users: 2}]`".to_owned();
        reader.report(demo.load.stages.at, "a load without stages sends nothing", Some(hint));
    }
    let poll = &demo.audience.poll;
    if poll.value.is_zero() {
        let hint = "give it a second or more, such as `5s`".to_owned();
        reader.report(poll.at, "a phone that never waits asks for ever", Some(hint));
    }
    let ratings = &demo.audience.survey.ratings;
    if ratings.value.len() != 5 || ratings.value.iter().all(|weight| *weight == 0) {
        let hint = "give five weights, such as `[1, 2, 7, 40, 50]`".to_owned();
        reader.report(ratings.at, "a survey has one to five stars", Some(hint));
    }
}

fn check_cues(reader: &Reader<'_>, demo: &Demo, length: Duration) {
    for (name, cue) in &demo.cues {
        if cue.value.at > length {
            let message = format!(
                "`{name}` is due after the show, which ends at {}",
                format_duration(length)
            );
            reader.report(cue.at, message, Some("bring it forward".to_owned()));
        }
        if cue.value.mode.is_none() && cue.value.draw.is_none() {
            let hint = "give it a `mode` or a `draw`".to_owned();
            reader.report(cue.at, format!("`{name}` does nothing"), Some(hint));
        }
    }
    for reminder in &demo.reminders {
        let name = &reminder.cue.value;
        if !demo.cues.contains_key(name) {
            let hint = match closest(name, demo.cues.keys().map(String::as_str)) {
                Some(closest) => format!("did you mean `{closest}`?"),
                None => "add it to `cues`".to_owned(),
            };
            reader.report(reminder.cue.at, format!("there is no cue `{name}`"), Some(hint));
        }
    }
}
