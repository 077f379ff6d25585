//! A load engine for HTTP services that answer slowly: model servers above all.
//!
//! A [`Plan`] says what to send and in which [`Shape`]; [`run`] sends it through a transport that it is handed and
//! folds what happened into a [`Summary`]; [`Threshold`]s turn that into a verdict. The crate opens no socket, reads
//! no clock but the one it is given, and starts no task: dropping the future of a run ends the run.
//!
//! Everything that decides is a synchronous machine; on a paused runtime half an hour of load takes a second or two
//! and is the same to the last event for the same seed.

mod duration;
mod engine;
mod histogram;
mod machine;
mod plan;
mod questions;
mod shape;
mod summary;
mod threshold;

pub use duration::DurationError;
pub use duration::format_duration;
pub use duration::parse_duration;
pub use engine::run;
pub use engine::run_until;
pub use histogram::Histogram;
pub use histogram::HistogramError;
pub use plan::Pace;
pub use plan::Plan;
pub use plan::PlanError;
pub use plan::Target;
pub use questions::DEFAULT_QUESTIONS;
pub use questions::REFRESH_INTERVAL;
pub use shape::Shape;
pub use shape::ShapeError;
pub use shape::Stage;
pub use summary::Event;
pub use summary::Failure;
pub use summary::Summary;
pub use threshold::Measured;
pub use threshold::Threshold;
pub use threshold::ThresholdError;
pub use threshold::Verdict;
