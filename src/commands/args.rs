//! Groups of arguments that several commands share, and the arguments of the commands that act in a world.

use camino::Utf8Path;
use camino::Utf8PathBuf;
use clap::Args;
use clap::ValueEnum;
use tubectl_world::serve::FASTEST;

use crate::commands::context::WorldName;
use crate::error::Failure;
use crate::stack::load;
use crate::stack::load::Files;
use crate::stack::load::Settings;

/// Which stack, and what its variables are.
#[derive(Clone, Debug, Default, Args)]
pub struct StackArguments {
    /// A shipped stack's name, or the path of a folder with a stack.yaml
    ///
    /// Without it, the stack.yaml of this folder if there is one, else tube.
    #[arg(value_name = "STACK")]
    pub stack: Option<String>,
    /// Set a variable of the stack
    #[arg(long = "var", value_name = "NAME=VALUE")]
    pub variables: Vec<String>,
    /// Read variables from a YAML file; --var wins
    #[arg(long = "var-file", value_name = "FILE")]
    pub variable_files: Vec<Utf8PathBuf>,
}

impl StackArguments {
    /// The stack's files and its settings.
    pub fn read(&self) -> Result<(Files, Settings), Failure> {
        let files = load::find(self.stack.as_deref(), Utf8Path::new("")).map_err(Failure::yours)?;
        let settings = Settings::read(&self.variable_files, &self.variables).map_err(Failure::yours)?;
        Ok((files, settings))
    }
}

/// Where a command acts.
#[derive(Clone, Debug, Default, Args)]
pub struct PlaceArguments {
    /// World to act on; the default is local, or what `TUBECTL_ON` says
    #[arg(long, value_name = "WORLD")]
    pub on: Option<On>,
    /// AWS profile to take credentials from
    #[arg(long, value_name = "NAME")]
    pub profile: Option<String>,
    /// AWS region; the default is the stack's
    #[arg(long, value_name = "NAME")]
    pub region: Option<String>,
}

/// A world, as the command line names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum On {
    /// The local world on this machine
    Local,
    /// A real AWS account
    Aws,
}

impl From<On> for WorldName {
    fn from(on: On) -> Self {
        match on {
            On::Local => Self::Local,
            On::Aws => Self::Aws,
        }
    }
}

impl From<WorldName> for On {
    fn from(world: WorldName) -> Self {
        match world {
            WorldName::Local => Self::Local,
            WorldName::Aws => Self::Aws,
        }
    }
}

/// Whether to ask first.
#[derive(Clone, Copy, Debug, Default, Args)]
pub struct ConsentArguments {
    /// Do it without asking
    #[arg(long, short)]
    pub yes: bool,
}

/// How fast the local world's time passes.
#[derive(Clone, Copy, Debug, Default, Args)]
pub struct SpeedArguments {
    /// How many seconds pass in the local world in one of ours
    #[arg(long, value_name = "TIMES", value_parser = speed)]
    pub speed: Option<f64>,
}

/// The arguments of `rehearse`.
#[derive(Clone, Debug, Args)]
pub struct Rehearse {
    /// The stack.
    #[command(flatten)]
    pub stack: StackArguments,
    /// Seed of all chance: the same seed plays the same show, byte for byte
    #[arg(long, default_value_t = 7)]
    pub seed: u64,
}

/// The arguments of `plan`.
#[derive(Clone, Debug, Args)]
pub struct Plan {
    /// The stack.
    #[command(flatten)]
    pub stack: StackArguments,
    /// Where.
    #[command(flatten)]
    pub place: PlaceArguments,
    /// Exit with 1 when something is to be done
    #[arg(long)]
    pub exit_code: bool,
}

/// The arguments of `up`.
#[derive(Clone, Debug, Args)]
pub struct Up {
    /// The stack.
    #[command(flatten)]
    pub stack: StackArguments,
    /// Where.
    #[command(flatten)]
    pub place: PlaceArguments,
    /// Whether to ask.
    #[command(flatten)]
    pub consent: ConsentArguments,
    /// How fast.
    #[command(flatten)]
    pub speed: SpeedArguments,
}

/// The arguments of `down`.
#[derive(Clone, Debug, Args)]
pub struct Down {
    /// The stack.
    #[command(flatten)]
    pub stack: StackArguments,
    /// Where.
    #[command(flatten)]
    pub place: PlaceArguments,
    /// Whether to ask.
    #[command(flatten)]
    pub consent: ConsentArguments,
    /// How fast.
    #[command(flatten)]
    pub speed: SpeedArguments,
    /// Keep images and buckets
    #[arg(long)]
    pub keep_data: bool,
    /// Take finalizers off that hold things up for long
    #[arg(long)]
    pub strip_finalizers: bool,
}

/// The arguments of `status`.
#[derive(Clone, Debug, Args)]
pub struct Status {
    /// The stack.
    #[command(flatten)]
    pub stack: StackArguments,
    /// Where.
    #[command(flatten)]
    pub place: PlaceArguments,
}

/// The arguments of `demo`.
#[derive(Clone, Debug, Args)]
pub struct Demo {
    /// The stack.
    #[command(flatten)]
    pub stack: StackArguments,
    /// Where.
    #[command(flatten)]
    pub place: PlaceArguments,
    /// Whether to ask before what is not there yet is made.
    #[command(flatten)]
    pub consent: ConsentArguments,
    /// How fast.
    #[command(flatten)]
    pub speed: SpeedArguments,
    /// Length of the show; its schedule is scaled to it
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=600))]
    pub minutes: Option<u32>,
    /// Fire the cues by the schedule instead of waiting for you
    #[arg(long)]
    pub auto: bool,
    /// Let the audience of demo.yaml play along
    #[arg(long)]
    pub audience: bool,
}

/// The arguments of `cue`.
#[derive(Clone, Debug, Args)]
pub struct Cue {
    /// Cue to fire, as the stack's demo.yaml names it
    pub name: String,
    /// The stack.
    #[command(flatten)]
    pub stack: StackArguments,
    /// Where.
    #[command(flatten)]
    pub place: PlaceArguments,
    /// Whether winners that were drawn before give way to others.
    #[arg(skip)]
    pub again: bool,
}

/// The arguments of `survey`.
#[derive(Clone, Debug, Args)]
pub struct Survey {
    /// The stack.
    #[command(flatten)]
    pub stack: StackArguments,
    /// Where.
    #[command(flatten)]
    pub place: PlaceArguments,
}

/// The arguments of `winners`.
#[derive(Clone, Debug, Args)]
pub struct Winners {
    /// The stack.
    #[command(flatten)]
    pub stack: StackArguments,
    /// Where.
    #[command(flatten)]
    pub place: PlaceArguments,
    /// Draw others in place of those who won before
    #[arg(long)]
    pub again: bool,
}

impl From<Survey> for Cue {
    fn from(Survey { stack, place }: Survey) -> Self {
        Self {
            name: "survey".to_owned(),
            stack,
            place,
            again: false,
        }
    }
}

impl From<Winners> for Cue {
    fn from(Winners { stack, place, again }: Winners) -> Self {
        Self {
            name: "winners".to_owned(),
            stack,
            place,
            again,
        }
    }
}

/// A speed: a number above zero that is no infinity.
fn speed(text: &str) -> Result<f64, String> {
    let speed: f64 = text.parse().map_err(|_| format!("`{text}` is no number"))?;
    let sound = speed > 0.0 && speed <= FASTEST;
    sound
        .then_some(speed)
        .ok_or_else(|| format!("time runs forward, at most {FASTEST} times as fast"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_speed_is_a_number_above_zero() {
        let check = |text: &str, expected: Option<f64>| assert_eq!(speed(text).ok(), expected, "{text}");
        check("60", Some(60.0));
        check("0.5", Some(0.5));
        for text in ["0", "-1", "nan", "inf", "1e9", "fast", ""] {
            check(text, None);
        }
    }
}
