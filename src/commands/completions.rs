//! `tubectl completions`: what shells need to complete the command line.

use clap::Args;
use clap_complete::Shell;

use crate::ui::output::Output;

/// The arguments of `completions`.
#[derive(Clone, Copy, Debug, Args)]
pub struct Completions {
    /// Shell to print completions for
    pub shell: Shell,
}

/// Prints the completions of a command line.
pub fn run(arguments: Completions, mut command: clap::Command, output: Output) {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut command, "tubectl", &mut script);
    output.data(&String::from_utf8_lossy(&script));
}
