//! The command line: arguments in, exit code out.

use std::process::ExitCode;

use camino::Utf8PathBuf;
use clap::Parser;
use tubectl_clock::Clock;
use tubectl_world::connect::World;

use crate::commands::rehearse;
use crate::error::Failure;
use crate::error::Kind;
use crate::event::Events;
use crate::stack::load;
use crate::ui::lines::Lines;
use crate::ui::output::Output;

/// From an empty AWS account to a live Kubernetes autoscaling demo, and back to an empty account
#[derive(Debug, Parser)]
#[command(name = "tubectl", version, max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Play up, the show and down in virtual time, against the local world
    Rehearse(Rehearse),
}

#[derive(Debug, clap::Args)]
struct Rehearse {
    /// Stack to rehearse: a shipped one's name, or a folder with a stack.yaml
    stack: Option<String>,
    /// Seed of all chance
    #[arg(long, default_value_t = 7)]
    seed: u64,
}

/// Runs the command line.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let output = Output::default();
    match run(arguments, output) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            output.error(&failure.report());
            ExitCode::from(failure.kind.exit_code())
        }
    }
}

fn run(arguments: Arguments, output: Output) -> Result<(), Failure> {
    match arguments.command {
        Command::Rehearse(rehearse) => run_rehearsal(&rehearse, output),
    }
}

fn run_rehearsal(arguments: &Rehearse, output: Output) -> Result<(), Failure> {
    let files = load::find(arguments.stack.as_deref(), camino::Utf8Path::new(".")).map_err(Failure::yours)?;
    let settings = load::Settings::default();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build();
    let runtime = runtime.map_err(|error| Failure::said(Kind::Bug, error.to_string(), "report it"))?;
    fastrand::seed(arguments.seed);
    runtime.block_on(async {
        let clock = Clock::starting_at(rehearse::begins());
        let world = World::new(rehearse::core(arguments.seed), clock, rehearse::programs());
        let (events, mut heard) = Events::channel(clock);
        let view = async {
            let mut lines = Lines::default();
            while let Some(event) = heard.recv().await {
                if let Some(line) = lines.line(&event) {
                    output.narrate(&line);
                }
            }
        };
        let cache = Utf8PathBuf::from(std::env::temp_dir().to_string_lossy().into_owned()).join("tubectl-cache");
        let work = rehearse::rehearse(&world, &files, &settings, cache, events);
        tokio::select! {
            biased;
            (proof, ()) = async { tokio::join!(work, view) } => proof.map(|proof| output.data(&proof)),
            () = world.run() => unreachable!("a world runs until it is dropped"),
        }
    })
}
