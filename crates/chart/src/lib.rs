//! Helm charts, rendered as Helm renders them.
//!
//! A [`Chart`] comes from a folder, an archive or files in memory; [`render`] turns it and [`Values`] into objects, hooks and
//! notes. The same input gives the same bytes: nothing here reads a clock, an environment or a cluster. What a template may
//! know of a cluster comes in as plain data ([`Capabilities`], [`Lookup`]).

mod certificate;
mod compare;
mod convert;
mod dependencies;
mod eval;
mod format;
mod funcs;
mod load;
mod manifest;
mod metadata;
mod objects;
mod parse;
mod pattern;
mod random;
pub mod release;
mod render;
mod report;
pub mod repository;
mod semver;
mod time;
mod value;
mod values;

pub use load::Chart;
pub use load::File;
pub use load::LoadError;
pub use manifest::Hook;
pub use manifest::Manifest;
pub use manifest::install_rank;
pub use metadata::Dependency;
pub use metadata::Import;
pub use metadata::Maintainer;
pub use metadata::Metadata;
pub use objects::Capabilities;
pub use render::Action;
pub use render::Lookup;
pub use render::Options;
pub use render::Release;
pub use render::Rendered;
pub use render::render;
pub use report::Error;
pub use report::Place;
pub use report::TemplateError;
pub use semver::Constraint;
pub use semver::Version;
pub use values::Values;
pub use values::ValuesError;
