//! Load curves as data: how many users, or how many arrivals a second, at which moment.
//!
//! Stages ramp as k6's do: each goes in a straight line from where the last one ended to its target, a user starts
//! at the moment the line reaches its number, and the n-th arrival happens when the area under the line is n.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::Deserialize;
use serde::Serialize;
use thiserror::Error;

use crate::duration::DurationError;
use crate::duration::format_duration;
use crate::duration::parse_duration;

/// More users than one process can sensibly play.
const MOST_USERS: u32 = 100_000;

/// One straight piece of a load curve.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Stage {
    /// How long it takes to get to the target.
    pub duration: Duration,
    /// Users, or arrivals a second, at its end.
    pub target: u32,
}

/// A load curve.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Shape {
    /// A closed loop: so many users, each of whom waits for the answer before asking again.
    Users {
        /// Users at the start.
        start: u32,
        /// What follows, in order.
        stages: Vec<Stage>,
    },
    /// An open loop: arrivals that wait for nobody.
    Arrivals {
        /// Arrivals a second at the start.
        start: u32,
        /// What follows, in order.
        stages: Vec<Stage>,
    },
}

/// Text that is not a load shape.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ShapeError {
    /// Nothing was written.
    #[error("a load shape needs at least one stage, such as `2m:50`")]
    Empty,
    /// A stage without its colon.
    #[error("stage `{text}` is not DURATION:TARGET, such as `2m:50`")]
    NotAStage {
        /// What was written.
        text: String,
    },
    /// The time of a stage cannot be read.
    #[error("stage `{text}` has no readable duration")]
    Duration {
        /// The stage.
        text: String,
        /// What is wrong with it.
        #[source]
        source: DurationError,
    },
    /// The target of a stage is not a whole number.
    #[error("`{target}` in `{text}` is not a whole number from 0 to {MOST_USERS}")]
    Target {
        /// The stage or start.
        text: String,
        /// The part that is no number.
        target: String,
    },
    /// Users and arrivals a second in one shape.
    #[error("`{text}` mixes users and arrivals; give every target a `/s`, or none")]
    Mixed {
        /// The shape.
        text: String,
    },
    /// Neither a duration nor stages were given.
    #[error("nothing says how long the load lasts; give `--duration 5m`, or stages like `--stage 2m:50`")]
    NoLength,
    /// Both a duration and stages were given.
    #[error("`--duration` and `--stage` both say how long the load lasts; give one of them")]
    TwoLengths,
    /// A shape in which no time passes.
    #[error("`{text}` lasts no time; give a stage a duration above zero")]
    NoTime {
        /// The shape.
        text: String,
    },
}

impl Shape {
    /// The same number of users all the time.
    pub fn constant(users: u32, duration: Duration) -> Self {
        Self::Users {
            start: users,
            stages: vec![Stage {
                duration,
                target: users,
            }],
        }
    }

    /// Users who come and go in stages, from `start`.
    pub fn users(start: u32, stages: Vec<Stage>) -> Self {
        Self::Users { start, stages }
    }

    /// Arrivals a second that rise and fall in stages, from `start`.
    pub fn arrivals(start: u32, stages: Vec<Stage>) -> Self {
        Self::Arrivals { start, stages }
    }

    /// The shape that k6's flags of these names describe: `--vus` users all the time, or at the start of the stages.
    pub fn from_flags(vus: Option<u32>, duration: Option<Duration>, stages: &[Stage]) -> Result<Self, ShapeError> {
        let start = vus.unwrap_or(1);
        if start > MOST_USERS {
            return Err(ShapeError::Target {
                text: "--vus".to_owned(),
                target: start.to_string(),
            });
        }
        let shape = match (duration, stages) {
            (None, []) => return Err(ShapeError::NoLength),
            (Some(duration), []) => Self::constant(start, duration),
            (None, stages) => Self::users(start, stages.to_vec()),
            (Some(_), _) => return Err(ShapeError::TwoLengths),
        };
        if shape.duration().is_zero() {
            return Err(ShapeError::NoTime {
                text: shape.to_string(),
            });
        }
        Ok(shape)
    }

    /// How long the whole curve takes.
    pub fn duration(&self) -> Duration {
        self.stages().iter().map(|stage| stage.duration).sum()
    }

    /// The stages, in order.
    pub fn stages(&self) -> &[Stage] {
        match self {
            Self::Users { stages, .. } | Self::Arrivals { stages, .. } => stages,
        }
    }

    /// The highest number of users, or of arrivals a second.
    pub fn peak(&self) -> u32 {
        let (Self::Users { start, stages } | Self::Arrivals { start, stages }) = self;
        stages
            .iter()
            .map(|stage| stage.target)
            .chain([*start])
            .max()
            .unwrap_or(*start)
    }
}

/// The moments at which the number of users changes, with the new number, in order.
pub(crate) fn user_steps(start: u32, stages: &[Stage]) -> Vec<(Duration, u32)> {
    let mut steps = vec![(Duration::ZERO, start)];
    let mut from = start;
    let mut begin = Duration::ZERO;
    for stage in stages {
        let change = from.abs_diff(stage.target);
        if stage.duration.is_zero() && change > 0 {
            steps.push((begin, stage.target));
        } else {
            let number = |n: u32| if stage.target > from { from + n } else { from - n };
            steps.extend((1..=change).map(|n| {
                (
                    begin + stage.duration.mul_f64(f64::from(n) / f64::from(change)),
                    number(n),
                )
            }));
        }
        from = stage.target;
        begin += stage.duration;
    }
    steps
}

/// The moments of all arrivals, in order and lazily.
pub(crate) fn arrivals(start: u32, stages: &[Stage]) -> impl Iterator<Item = Duration> + use<> {
    let mut pieces = Vec::with_capacity(stages.len());
    let (mut from, mut begin, mut done) = (f64::from(start), 0.0, 0.0);
    for stage in stages {
        let (to, length) = (f64::from(stage.target), stage.duration.as_secs_f64());
        let area = length * f64::midpoint(from, to);
        pieces.push(Piece {
            from,
            to,
            begin,
            length,
            before: done,
        });
        (from, begin, done) = (to, begin + length, done + area);
    }
    let mut piece = 0;
    (1_u32..).map_while(move |number| {
        let number = f64::from(number);
        while pieces.get(piece)?.end() < number {
            piece += 1;
        }
        Some(Duration::from_secs_f64(pieces.get(piece)?.moment(number)))
    })
}

/// A straight piece of an arrival curve, with how many arrived before it.
struct Piece {
    from: f64,
    to: f64,
    begin: f64,
    length: f64,
    before: f64,
}

impl Piece {
    fn end(&self) -> f64 {
        // The tiny allowance keeps the last arrival of a stage whose area is a whole number.
        self.before + self.length * f64::midpoint(self.from, self.to) + 1e-9
    }

    /// When the area under the curve is `number`: the root of a quadratic, in the form that is stable for flat pieces.
    fn moment(&self, number: f64) -> f64 {
        let area = (number - self.before).max(0.0);
        if area == 0.0 {
            return self.begin;
        }
        let slope = if self.length > 0.0 {
            (self.to - self.from) / self.length
        } else {
            0.0
        };
        let root = (self.from * self.from + 2.0 * slope * area).max(0.0).sqrt();
        self.begin + (2.0 * area / (self.from + root)).min(self.length)
    }
}

impl FromStr for Stage {
    type Err = ShapeError;

    fn from_str(text: &str) -> Result<Self, ShapeError> {
        let (duration, target) = text
            .split_once(':')
            .ok_or_else(|| ShapeError::NotAStage { text: text.to_owned() })?;
        Ok(Self {
            duration: parse_duration(duration).map_err(|source| ShapeError::Duration {
                text: text.to_owned(),
                source,
            })?,
            target: whole(target, text)?,
        })
    }
}

/// `[START,]STAGE[,STAGE..]`; targets that end in `/s` are arrivals a second. Without a start it begins at one user,
/// or at no arrivals.
impl FromStr for Shape {
    type Err = ShapeError;

    fn from_str(text: &str) -> Result<Self, ShapeError> {
        let parts: Vec<&str> = text.split(',').map(str::trim).filter(|part| !part.is_empty()).collect();
        let open = parts.iter().filter(|part| part.ends_with("/s")).count();
        if open != 0 && open != parts.len() {
            return Err(ShapeError::Mixed { text: text.to_owned() });
        }
        let parts: Vec<&str> = parts.iter().map(|part| part.trim_end_matches("/s")).collect();
        let (start, stages) = match parts.split_first() {
            Some((first, rest)) if !first.contains(':') && !rest.is_empty() => (Some(whole(first, text)?), rest),
            _ => (None, parts.as_slice()),
        };
        let stages = stages
            .iter()
            .map(|stage| stage.parse())
            .collect::<Result<Vec<Stage>, _>>()?;
        let shape = if open > 0 {
            Self::arrivals(start.unwrap_or(0), stages)
        } else {
            Self::users(start.unwrap_or(1), stages)
        };
        if shape.stages().is_empty() {
            return Err(ShapeError::Empty);
        }
        if shape.duration().is_zero() {
            return Err(ShapeError::NoTime { text: text.to_owned() });
        }
        Ok(shape)
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", format_duration(self.duration), self.target)
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (start, unit) = match self {
            Self::Users { start, .. } => (start, ""),
            Self::Arrivals { start, .. } => (start, "/s"),
        };
        write!(f, "{start}{unit}")?;
        self.stages().iter().try_for_each(|stage| write!(f, ",{stage}{unit}"))
    }
}

impl TryFrom<String> for Stage {
    type Error = ShapeError;

    fn try_from(text: String) -> Result<Self, ShapeError> {
        text.parse()
    }
}

impl TryFrom<String> for Shape {
    type Error = ShapeError;

    fn try_from(text: String) -> Result<Self, ShapeError> {
        text.parse()
    }
}

impl From<Stage> for String {
    fn from(stage: Stage) -> Self {
        stage.to_string()
    }
}

impl From<Shape> for String {
    fn from(shape: Shape) -> Self {
        shape.to_string()
    }
}

fn whole(number: &str, text: &str) -> Result<u32, ShapeError> {
    number
        .trim()
        .parse()
        .ok()
        .filter(|value| *value <= MOST_USERS)
        .ok_or_else(|| ShapeError::Target {
            text: text.to_owned(),
            target: number.to_owned(),
        })
}

#[cfg(test)]
mod tests {
    use std::error::Error;

    use super::*;

    fn check(text: &str, expected: &str) {
        let outcome = match text.parse::<Shape>() {
            Ok(shape) => format!("{shape} in {}", format_duration(shape.duration())),
            Err(error) => error
                .source()
                .map_or(error.to_string(), |source| format!("{error}: {source}")),
        };
        assert_eq!(outcome, expected, "for `{text}`");
    }

    fn stages(text: &str) -> (u32, Vec<Stage>) {
        match text.parse().unwrap() {
            Shape::Users { start, stages } | Shape::Arrivals { start, stages } => (start, stages),
        }
    }

    fn seconds(moments: impl Iterator<Item = Duration>) -> Vec<f64> {
        moments
            .map(|moment| (moment.as_secs_f64() * 1000.0).round() / 1000.0)
            .collect()
    }

    #[test]
    fn shapes_are_read_and_written() {
        check("2m:2,23m:5,3m:1", "1,2m:2,23m:5,3m:1 in 28m");
        check("5, 30s:10, 4m30s:10", "5,30s:10,4m30s:10 in 5m");
        check("10/s,1m:10/s", "10/s,1m:10/s in 1m");
        check("2m:50/s", "0/s,2m:50/s in 2m");
    }

    #[test]
    fn what_is_no_shape_says_what_to_write() {
        check("", "a load shape needs at least one stage, such as `2m:50`");
        check("50", "stage `50` is not DURATION:TARGET, such as `2m:50`");
        check("2m", "stage `2m` is not DURATION:TARGET, such as `2m:50`");
        check("2m:many", "`many` in `2m:many` is not a whole number from 0 to 100000");
        check("2m:-1", "`-1` in `2m:-1` is not a whole number from 0 to 100000");
        check(
            "2m:1000000",
            "`1000000` in `2m:1000000` is not a whole number from 0 to 100000",
        );
        check(
            "4m30:10",
            "stage `4m30:10` has no readable duration: `4m30` needs a unit after `30`: h, m, s or ms, as in `30s`",
        );
        check(
            "1m:5,1m:5/s",
            "`1m:5,1m:5/s` mixes users and arrivals; give every target a `/s`, or none",
        );
        check("0s:5", "`0s:5` lasts no time; give a stage a duration above zero");
    }

    #[test]
    fn flags_make_the_shape_that_k6_makes_of_them() {
        fn check(vus: Option<u32>, duration: Option<u64>, stages: &[&str], expected: &str) {
            let stages: Vec<Stage> = stages.iter().map(|stage| stage.parse().unwrap()).collect();
            let shape = Shape::from_flags(vus, duration.map(Duration::from_secs), &stages);
            assert_eq!(
                shape.map_or_else(|error| error.to_string(), |shape| shape.to_string()),
                expected
            );
        }
        check(Some(10), Some(30), &[], "10,30s:10");
        check(None, Some(30), &[], "1,30s:1");
        check(None, None, &["2m:2", "3m:1"], "1,2m:2,3m:1");
        check(Some(5), None, &["30s:10"], "5,30s:10");
        check(
            Some(5),
            None,
            &[],
            "nothing says how long the load lasts; give `--duration 5m`, or stages like `--stage 2m:50`",
        );
        check(
            None,
            Some(30),
            &["2m:2"],
            "`--duration` and `--stage` both say how long the load lasts; give one of them",
        );
        check(
            Some(1),
            Some(0),
            &[],
            "`1,0s:1` lasts no time; give a stage a duration above zero",
        );
        check(
            Some(200_000),
            Some(1),
            &[],
            "`200000` in `--vus` is not a whole number from 0 to 100000",
        );
    }

    #[test]
    fn users_come_and_go_when_the_line_reaches_their_number() {
        let (start, stages) = stages("1,3s:3,2s:3,4s:1,0s:4,1s:4");
        let steps: Vec<_> = user_steps(start, &stages)
            .into_iter()
            .map(|(at, users)| (at.as_secs_f64(), users))
            .collect();
        assert_eq!(steps, [(0.0, 1), (1.5, 2), (3.0, 3), (7.0, 2), (9.0, 1), (9.0, 4)]);
    }

    #[test]
    fn a_constant_rate_arrives_evenly_and_loses_nobody() {
        let (start, stages) = stages("2/s,5s:2/s");
        assert_eq!(
            seconds(arrivals(start, &stages)),
            [0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0, 4.5, 5.0]
        );
    }

    #[test]
    fn a_rising_rate_arrives_where_the_area_is_whole() {
        let (start, stages) = stages("0/s,2s:4/s,1s:0/s,1s:0/s,1s:2/s");
        assert_eq!(
            seconds(arrivals(start, &stages)),
            [1.0, 1.414, 1.732, 2.0, 2.293, 3.0, 5.0]
        );
    }

    #[test]
    fn a_part_of_an_arrival_is_carried_into_the_next_stage() {
        let (start, stages) = stages("2/s,4900ms:2/s,5s:2/s");
        let moments = seconds(arrivals(start, &stages));
        assert_eq!(moments.len(), 19);
        assert!((moments[9] - 5.0).abs() < 0.002, "the tenth arrives at {}", moments[9]);
    }
}
