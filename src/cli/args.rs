//! What may be typed. The arguments of each command are in its own file.

use clap::ArgAction;
use clap::Args;
use clap::Parser;
use clap::Subcommand;

use crate::commands::args::Cue;
use crate::commands::args::Demo;
use crate::commands::args::Down;
use crate::commands::args::Plan;
use crate::commands::args::Rehearse;
use crate::commands::args::Status;
use crate::commands::args::Survey;
use crate::commands::args::Up;
use crate::commands::args::Winners;
use crate::commands::check::Check;
use crate::commands::completions::Completions;
use crate::commands::graph::Dot;
use crate::commands::render::Render;
use crate::commands::schema::Schema;
use crate::commands::stack::Stacks;
use crate::commands::state::States;
use crate::commands::unlock::Unlock;
use crate::commands::world::Worlds;
use crate::ui::lines::Detail;

/// From an empty AWS account to a live Kubernetes autoscaling demo, and back to an empty account
///
/// Rehearse the whole show on this machine, without any account: tubectl rehearse tube
#[derive(Debug, Parser)]
#[command(name = "tubectl", version, max_term_width = 100, after_help = AFTER_HELP)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
    #[command(flatten)]
    pub(crate) global: Global,
}

const AFTER_HELP: &str = "\
Environment:
  TUBECTL_HOME  where state, cache and the local world are kept
  TUBECTL_ON    the default of --on: local or aws
  NO_COLOR      no color, whatever its value

Exit codes:
  0 done, 1 a check or threshold failed, 2 yours to fix, 3 partly done, run it again,
  4 something is left behind, 70 a bug of ours, 130 interrupted";

/// What every command takes.
#[derive(Clone, Copy, Debug, Args)]
#[command(next_help_heading = "Output")]
pub(crate) struct Global {
    /// Print JSON: one document, or one line for each event
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Leave narration out; data, questions and errors stay
    #[arg(long, short, global = true)]
    pub(crate) quiet: bool,
    /// Tell of every resource, and write a debug log to stderr; twice for the libraries' own
    #[arg(long, short, global = true, action = ArgAction::Count)]
    pub(crate) verbose: u8,
}

impl Global {
    pub(crate) fn detail(self) -> Detail {
        match self.verbose {
            0 => Detail::Noteworthy,
            _ => Detail::Everything,
        }
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make the world look like the stack, from whatever is there
    Up(Up),
    /// Play the show: schedule, load and live figures; offers up first where nothing stands
    Demo(Demo),
    /// Switch every phone to the survey: cue survey
    Survey(Survey),
    /// Draw the winners among the answers and tell every phone: cue winners
    Winners(Winners),
    /// Fire a cue of the show, while a demo runs or without one
    Cue(Cue),
    /// Take everything away, and prove that it is gone
    Down(Down),
    /// Show what up would do, what it takes and what it costs
    Plan(Plan),
    /// Show what exists, what waits and for what, and what differs
    Status(Status),
    /// Start, stop and look at the local world
    World(Worlds),
    /// Play up, the show and down in virtual time: seconds, and no account
    Rehearse(Rehearse),
    /// Report every mistake of a stack at once
    Check(Check),
    /// Print who waits for whom in Graphviz's language, and what takes longest
    Graph(Dot),
    /// Print the Kubernetes objects of a stack
    Render(Render),
    /// List and show stacks
    Stack(Stacks),
    /// List and show what is known of the stacks that stand
    State(States),
    /// Take off the lease that another process left
    Unlock(Unlock),
    /// Print the JSON Schema of a stack's files
    Schema(Schema),
    /// Print completions for a shell
    Completions(Completions),
}
