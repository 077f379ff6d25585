//! `tubectl schema`: what a stack's files may hold, for editors.

use clap::Args;
use clap::ValueEnum;

use crate::stack::schema;
use crate::ui::output::Output;

/// The arguments of `schema`.
#[derive(Clone, Copy, Debug, Args)]
pub struct Schema {
    /// File to describe
    pub of: Of,
}

/// A file with a schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Of {
    /// stack.yaml: what exists
    Stack,
    /// demo.yaml: what happens
    Demo,
}

/// Prints a JSON Schema.
pub fn run(arguments: Schema, output: Output) {
    let schema = match arguments.of {
        Of::Stack => schema::stack(),
        Of::Demo => schema::demo(),
    };
    output.data(&serde_json::to_string_pretty(&schema).expect("a schema is plain data"));
}
