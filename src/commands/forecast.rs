//! What doing a plan takes, in minutes and in money: said before anything is created.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;
use serde_json::json;

use crate::commands::session::Look;
use crate::commands::session::Session;
use crate::cost::estimate;
use crate::cost::estimate::Outlook;
use crate::event::minutes;
use crate::plan::Action;
use crate::resource::id::ResourceId;

/// What doing a plan takes.
pub struct Forecast {
    /// The longest chain of what is to be done, first to last, with the time at which each ends.
    chain: Vec<(ResourceId, Duration)>,
    /// How many durations earlier runs tell, of all that are to be done.
    known: (usize, usize),
    /// What the stack costs then.
    outlook: Outlook,
    /// How long its show is, if it has one.
    show: Option<Duration>,
}

impl Forecast {
    /// The forecast of a plan.
    pub fn of(session: &Session, look: &Look) -> Self {
        let history = session.journal.state().history;
        let is_work = |id: &ResourceId| look.plan.steps[id].action != Action::Nothing;
        let duration = |id: &ResourceId| {
            if is_work(id) {
                expected(id, look, &history)
            } else {
                Duration::ZERO
            }
        };
        let mut chain = look.graph.critical_path(duration);
        chain.retain(|(id, _)| is_work(id));
        let work = || look.plan.work().map(|step| &step.desired.id);
        let show = session.stack.demo.as_ref().map(|demo| demo.minutes.value);
        Self {
            chain,
            known: (work().filter(|id| history.contains_key(*id)).count(), work().count()),
            outlook: estimate::planned(&look.desired, &session.aws.place.region),
            show: show.map(|minutes| Duration::from_mins(minutes.into())),
        }
    }

    /// As people read it.
    pub fn text(&self) -> String {
        let mut text = String::new();
        if let [(first, _), .., (last, end)] = self.chain.as_slice() {
            let (known, all) = self.known;
            text = format!(
                "takes about {}, from {first} to {last}, the longest of its chains\n  \
                 estimated: {known} of {all} steps by how long they took before, the others by how long such things take\n",
                minutes(*end)
            );
        } else if let [(only, end)] = self.chain.as_slice() {
            text = format!("takes about {}, for {only}\n", minutes(*end));
        }
        text + &self.outlook.text(self.show)
    }

    /// As programs read it: `expected` and `cost`.
    pub fn document(&self) -> (Value, Value) {
        let end = self.chain.last().map_or(Duration::ZERO, |(_, end)| *end);
        let expected = json!({
            "seconds": end.as_secs(),
            "chain": self.chain.iter().map(|(id, end)| json!({"id": id, "ends": end.as_secs()})).collect::<Vec<_>>(),
            "recorded": self.known.0,
        });
        (expected, self.outlook.document(self.show))
    }
}

/// How long a resource is expected to take: what it took before, else what such things take.
pub fn expected(id: &ResourceId, look: &Look, history: &BTreeMap<ResourceId, u64>) -> Duration {
    match history.get(id) {
        Some(milliseconds) => Duration::from_millis(*milliseconds),
        None => look.plan.steps[id].desired.kind.usual_duration(),
    }
}
