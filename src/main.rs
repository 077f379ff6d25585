//! tubectl.
fn main() {}
