//! YAML as Go's Kubernetes tools read and write it.
//!
//! `kubectl` and Helm go through `sigs.k8s.io/yaml`, which is YAML 1.1: `yes` is true, `0755` is 493, the last of two equal
//! keys wins, a merge key merges. No YAML 1.2 library agrees with that, and none writes the same bytes. This crate resolves
//! scalars, builds trees and prints them by those rules; the grammar itself is left to an event parser. It never touches
//! files and knows no Rust types but its own [`Value`].

mod emit;
mod json;
mod number;
mod order;
mod read;
mod resolve;
mod value;

pub use emit::emit;
pub use emit::emit_pretty;
pub use number::format_float;
pub use number::format_json_float;
pub use order::natural_order;
pub use read::Error;
pub use read::parse;
pub use read::parse_all;
pub use value::Value;
