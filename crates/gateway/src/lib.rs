//! The audience's app: one page and its API.
//!
//! A [`Gateway`] answers HTTP requests that somebody else received: it opens no socket and reads no clock but the one
//! it is given. Phones poll it by the hundred, so what they poll is served from memory; what they say is in
//! [`Storage`] before it is acknowledged. It asks for no personal data, logs none, and has no operator's endpoint:
//! mode, session and winners reach it from inside, through [`Gateway::configure`].

mod counters;
mod draw;
mod gateway;
mod model;
mod page;
mod question;
mod record;
mod reply;
mod route;
mod session;
mod show;
mod stats;
mod storage;
mod survey;

pub use draw::draw;
pub use gateway::Gateway;
pub use model::Upstream;
pub use record::ResponseId;
pub use record::StoredQuestion;
pub use record::StoredResponse;
pub use record::StoredSession;
pub use record::StoredWinners;
pub use record::key;
pub use show::Mode;
pub use show::Settings;
pub use show::Show;
pub use show::ShowError;
pub use stats::Stats;
pub use storage::Listing;
pub use storage::MemoryStorage;
pub use storage::Storage;
pub use storage::StorageError;
