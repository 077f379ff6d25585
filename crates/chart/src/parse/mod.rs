//! Go's `text/template` language: from text to trees. Unknown functions and variables are found here, before anything runs.

pub(crate) mod ast;
mod lexer;
mod literal;
mod parser;

pub(crate) use parser::parse;
