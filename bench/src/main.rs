//! Takes the figures that a stopwatch around the binary cannot see, and prints them as one line of JSON.
//!
//! `up`: how long the tube stack takes in virtual time, and the longest path through its graph with the durations that
//! the world says its things took. `plan`: how many seconds of the machine's time a plan takes that finds nothing to do.

mod plan;
mod stage;
mod up;

use std::collections::BTreeMap;

use serde_json::json;

/// How many resources the plans are of.
const SIZES: [usize; 3] = [100, 1_000, 10_000];

#[expect(clippy::print_stdout, reason = "this is what the program is for")]
fn main() {
    let up = up::measure();
    let plans: BTreeMap<String, f64> = SIZES
        .iter()
        .map(|size| (size.to_string(), plan::measure(*size).as_secs_f64()))
        .collect();
    let path: Vec<_> = up
        .path
        .iter()
        .map(|(id, end)| json!({"id": id.to_string(), "ends": end.as_secs_f64()}))
        .collect();
    println!(
        "{}",
        json!({"up": {"took": up.took.as_secs_f64(), "path": path}, "plan": plans})
    );
}
