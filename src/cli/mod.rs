//! The command line: arguments in, exit code out.

mod args;
mod env;
mod runtime;

use std::panic::AssertUnwindSafe;
use std::panic::catch_unwind;
use std::process::ExitCode;

use clap::CommandFactory;
use clap::Parser;

use crate::cli::args::Arguments;
use crate::cli::args::Command;
use crate::cli::env::Environment;
use crate::commands::args::Cue;
use crate::commands::check;
use crate::commands::completions;
use crate::commands::context::Home;
use crate::commands::cue;
use crate::commands::demo;
use crate::commands::down;
use crate::commands::graph;
use crate::commands::plan;
use crate::commands::rehearse;
use crate::commands::render;
use crate::commands::schema;
use crate::commands::stack;
use crate::commands::state;
use crate::commands::status;
use crate::commands::unlock;
use crate::commands::up;
use crate::commands::world;
use crate::error::Failure;
use crate::error::Kind;
use crate::ui::output::Format;
use crate::ui::output::Output;

/// The whole command line, for its documentation.
pub fn command() -> clap::Command {
    Arguments::command()
}

/// Runs the command line.
pub fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return usage(&error),
    };
    let output = Output {
        quiet: arguments.global.quiet,
        detail: arguments.global.detail(),
    };
    runtime::log(arguments.global.verbose);
    // A panic was told on stderr already; what is left is the exit code of a bug.
    let result = catch_unwind(AssertUnwindSafe(|| run(arguments, output)));
    match result.unwrap_or_else(|_| Err(panicked())) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            output.error(&failure.report());
            ExitCode::from(failure.kind.exit_code())
        }
    }
}

fn run(arguments: Arguments, output: Output) -> Result<(), Failure> {
    let format = if arguments.global.json {
        Format::Json
    } else {
        Format::Text
    };
    let environment = || Environment::read().map_err(Failure::yours);
    let home = || environment().map(|environment| Home::Folder(environment.home));
    match arguments.command {
        Command::Up(mut arguments) => {
            let environment = environment()?;
            arguments.place.on = arguments.place.on.or(environment.on);
            runtime::in_real_time(up::run(&arguments, &environment.home, format, output))
        }
        Command::Demo(mut arguments) => {
            let environment = environment()?;
            arguments.place.on = arguments.place.on.or(environment.on);
            runtime::in_real_time(demo::run(&arguments, &environment.home, format, output))
        }
        Command::Survey(arguments) => run_cue(arguments.into(), &environment()?, format, output),
        Command::Winners(arguments) => run_cue(arguments.into(), &environment()?, format, output),
        Command::Cue(arguments) => run_cue(arguments, &environment()?, format, output),
        Command::Down(mut arguments) => {
            let environment = environment()?;
            arguments.place.on = arguments.place.on.or(environment.on);
            runtime::in_real_time(down::run(&arguments, &environment.home, format, output))
        }
        Command::Plan(mut arguments) => {
            let environment = environment()?;
            arguments.place.on = arguments.place.on.or(environment.on);
            runtime::in_real_time(plan::run(&arguments, &environment.home, format, output))
        }
        Command::Status(mut arguments) => {
            let environment = environment()?;
            arguments.place.on = arguments.place.on.or(environment.on);
            runtime::in_real_time(status::run(&arguments, &environment.home, format, output))
        }
        Command::World(arguments) => {
            runtime::in_real_time(world::run(&arguments, &environment()?.home, format, output))
        }
        Command::Rehearse(arguments) => {
            let environment = environment()?;
            let work = rehearse::run(&arguments, &environment.home, format, output);
            runtime::in_virtual_time(arguments.seed, work)
        }
        Command::Check(arguments) => runtime::in_virtual_time(0, check::run(&arguments, &home()?, format, output)),
        Command::Graph(arguments) => runtime::in_virtual_time(0, graph::run(&arguments, &home()?, output)),
        Command::Render(arguments) => runtime::in_virtual_time(0, render::run(&arguments, &home()?, format, output)),
        Command::Stack(arguments) => stack::run(&arguments, format, output),
        Command::State(arguments) => state::run(&arguments, &environment()?.home, format, output),
        Command::Unlock(arguments) => unlock::run(&arguments, &environment()?.home, output),
        Command::Schema(arguments) => {
            schema::run(arguments, output);
            Ok(())
        }
        Command::Completions(arguments) => {
            completions::run(arguments, command(), output);
            Ok(())
        }
    }
}

fn run_cue(mut arguments: Cue, environment: &Environment, format: Format, output: Output) -> Result<(), Failure> {
    arguments.place.on = arguments.place.on.or(environment.on);
    runtime::in_real_time(cue::run(&arguments, &environment.home, format, output))
}

/// Help and version are what was asked for; everything else is the user's to fix.
fn usage(error: &clap::Error) -> ExitCode {
    let text = error.render().ansi().to_string();
    let output = Output::default();
    if error.use_stderr() {
        output.error(&text);
        return ExitCode::from(Kind::Yours.exit_code());
    }
    output.data(&text);
    ExitCode::SUCCESS
}

fn panicked() -> Failure {
    let next = "run it again: nothing was lost; and report it with what it printed";
    Failure::said(Kind::Bug, "tubectl came to a state that cannot be", next)
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_command_line_is_sound() {
        super::command().debug_assert();
    }
}
