//! `tubectl status`: what exists, what waits and for what, and what differs from the stack.

use std::fmt::Write as _;

use camino::Utf8Path;
use serde::Serialize;
use serde_json::Value;
use serde_json::json;

use crate::commands::args::Status;
use crate::commands::connect::Intent;
use crate::commands::connect::connect;
use crate::commands::context::Context;
use crate::commands::live::watched;
use crate::commands::place;
use crate::commands::place::Meant;
use crate::commands::plan;
use crate::commands::session::Look;
use crate::commands::session::Session;
use crate::commands::session::failed;
use crate::error::Failure;
use crate::plan::Action;
use crate::resource::id::ResourceId;
use crate::resource::observed::Readiness;
use crate::show::chain::Break;
use crate::show::chain::Links;
use crate::ui::output::Format;
use crate::ui::output::Output;

/// How a stack stands.
pub struct Standing {
    look: Look,
    waiting: Vec<Waiting>,
    drift: Vec<Drift>,
    /// What is scaled in its show, and what keeps it from being scaled.
    chain: Option<(String, Vec<Break>)>,
}

/// Something that is not as it should be yet.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Waiting {
    what: String,
    why: String,
}

/// A field that somebody else changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Drift {
    resource: ResourceId,
    field: String,
    is: Option<String>,
    should: Option<String>,
}

/// Shows it.
pub async fn run(arguments: &Status, home: &Utf8Path, format: Format, output: Output) -> Result<(), Failure> {
    let Meant { files, settings, place } = place::standing(&arguments.stack, &arguments.place, home)?;
    let connected = connect(&place, home, (&files, &settings), Intent::Look, output).await?;
    watched(connected, Format::Text, output, async |context| {
        let session = Session::open(&context, "status", &files, &settings).await?;
        let standing = Box::pin(Standing::of(&context, &session)).await?;
        output.data(&match format {
            Format::Text => standing.text(&context, &session),
            Format::Json => standing.document(&session).to_string(),
        });
        Ok(())
    })
    .await
}

impl Standing {
    /// Looks how a stack stands.
    pub async fn of(context: &Context, session: &Session) -> Result<Self, Failure> {
        let look = session.look(context).await?;
        let mut waiting = resources(&look);
        waiting.extend(pods(&look).await?);
        let chain = match (&look.kube, &session.stack.demo) {
            (Some(kube), Some(demo)) => Links::look(kube, demo).await.map_err(failed)?.map(|links| {
                let scaled = demo.watch.deployment.to_string();
                (scaled, links.breaks())
            }),
            _ => None,
        };
        Ok(Self {
            drift: drift(&look),
            look,
            waiting,
            chain,
        })
    }

    /// It as people read it.
    pub fn text(&self, context: &Context, session: &Session) -> String {
        let place = &session.aws.place;
        let mut text = format!(
            "{} in account {}, {}, world {}\n",
            session.stack.name,
            place.account,
            place.region,
            context.world.name()
        );
        let look = &self.look;
        if look.observed.is_empty() {
            text.push_str("nothing of it exists\n");
            return text;
        }
        writeln!(text, "{} of {} exist", look.observed.len(), look.plan.steps.len()).expect(WRITES);
        for one in &self.waiting {
            writeln!(text, "  {} waits for {}", one.what, one.why).expect(WRITES);
        }
        text.push_str(&self.differences());
        match &self.chain {
            None => {}
            Some((scaled, breaks)) if breaks.is_empty() => {
                writeln!(
                    text,
                    "{scaled} scales: each link from its metrics to its replicas holds"
                )
                .expect(WRITES);
            }
            Some((scaled, breaks)) => {
                for Break { between, what, next } in breaks {
                    writeln!(text, "{scaled} does not scale, a link is broken: {between}").expect(WRITES);
                    writeln!(text, "  {what}\n  next: {next}").expect(WRITES);
                }
            }
        }
        text
    }

    fn differences(&self) -> String {
        if self.look.plan.is_empty() {
            return "everything is as the stack says\n".to_owned();
        }
        let mut text = String::new();
        if !self.drift.is_empty() {
            text.push_str("differs from the stack, and `tubectl up` mends it:\n");
        }
        for one in &self.drift {
            let told = |value: &Option<String>| value.clone().unwrap_or_else(|| "nothing".to_owned());
            let (is, should) = (told(&one.is), told(&one.should));
            writeln!(
                text,
                "  {}: {} is {is}, and should be {should}",
                one.resource, one.field
            )
            .expect(WRITES);
        }
        let counts = self.look.plan.counts();
        let counted = [
            (counts.created, "to create"),
            (counts.awaited, "on their way"),
            (counts.removed, "to remove"),
        ];
        let counted = counted.into_iter().filter(|(count, _)| *count > 0);
        let counted: Vec<String> = counted.map(|(count, what)| format!("{count} {what}")).collect();
        if !counted.is_empty() {
            writeln!(text, "{}: `tubectl plan` shows them", counted.join(", ")).expect(WRITES);
        }
        text
    }

    /// It as programs read it.
    pub fn document(&self, session: &Session) -> Value {
        let waiting = self.waiting.iter().map(|one| json!({"what": one.what, "for": one.why}));
        json!({
            "stack": session.stack.name,
            "instance": session.aws.owner.instance,
            "exist": self.look.observed,
            "waiting": waiting.collect::<Vec<_>>(),
            "drift": self.drift,
            "chain": self.chain.as_ref().map(|(scaled, breaks)| json!({"scales": scaled, "breaks": breaks})),
            "plan": plan::document(&self.look),
        })
    }
}

const WRITES: &str = "writing to a string does not fail";

/// The fields that are not as the stack says, of what is there.
fn drift(look: &Look) -> Vec<Drift> {
    let mut drift = Vec::new();
    for step in look.plan.work() {
        let Action::Update { changes } = &step.action else {
            continue;
        };
        for (field, is, should) in changes.iter().flat_map(plan::differences) {
            drift.push(Drift {
                resource: step.desired.id.clone(),
                field,
                is,
                should,
            });
        }
    }
    drift
}

/// What is on its way, and what waits for that; once something was begun.
fn resources(look: &Look) -> Vec<Waiting> {
    let exists = |id: &ResourceId| look.observed.iter().find(|found| found.id == *id);
    let mut waiting = Vec::new();
    for (id, step) in &look.plan.steps {
        let found = exists(id);
        let why = match (found.map(|found| &found.readiness), &step.action) {
            (Some(Readiness::Waiting(why) | Readiness::Failed(why)), _) => why.clone(),
            (Some(Readiness::Leaving), _) => "its own end".to_owned(),
            (None, Action::Create) if !look.observed.is_empty() => {
                let unready = |need: &&ResourceId| look.plan.steps[*need].action != Action::Nothing;
                let needs: Vec<&str> = look
                    .graph
                    .dependencies(id)
                    .filter(unready)
                    .map(ResourceId::as_str)
                    .collect();
                match needs.as_slice() {
                    [] => "`tubectl up`".to_owned(),
                    needs => needs.join(", "),
                }
            }
            _ => continue,
        };
        waiting.push(Waiting {
            what: id.to_string(),
            why,
        });
    }
    waiting
}

/// Pods that do not serve yet, and why.
async fn pods(look: &Look) -> Result<Vec<Waiting>, Failure> {
    let Some(kube) = &look.kube else {
        return Ok(Vec::new());
    };
    let pods = kube.list("v1", "Pod", "").await.map_err(failed)?;
    Ok(pods.iter().filter_map(pod).collect())
}

fn pod(pod: &Value) -> Option<Waiting> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let status = &pod["status"];
    if status["phase"] == "Succeeded" {
        return None;
    }
    let conditions = || status["conditions"].as_array().into_iter().flatten();
    let unmet = |kind: &str| conditions().find(|one| one["type"] == kind && one["status"] != "True");
    let containers = status["containerStatuses"].as_array().into_iter().flatten();
    let mut states = containers.filter_map(|container| container["state"]["waiting"].as_object());
    let why = if let Some(unscheduled) = unmet("PodScheduled") {
        format!("a node: {}", text(&unscheduled["message"]))
    } else if let Some(state) = states.next() {
        let reason = state.get("reason").map(text).unwrap_or_default();
        match state.get("message").map(text) {
            Some(message) => format!("its container: {reason}: {message}"),
            None => format!("its container: {reason}"),
        }
    } else if let Some(unready) = unmet("Ready") {
        match text(&unready["message"]) {
            message if message.is_empty() => "its readiness probe".to_owned(),
            message => format!("its readiness probe: {message}"),
        }
    } else {
        return None;
    };
    let metadata = &pod["metadata"];
    Some(Waiting {
        what: format!("pod {}/{}", text(&metadata["namespace"]), text(&metadata["name"])),
        why,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_that_does_not_serve_says_why() {
        let check = |status: Value, expected: Option<&str>| {
            let found = pod(&json!({"metadata": {"namespace": "a", "name": "b"}, "status": status}));
            assert_eq!(found.map(|found| found.why).as_deref(), expected);
        };
        let unscheduled = json!({"type": "PodScheduled", "status": "False", "message": "0/2 nodes are available"});
        check(
            json!({"phase": "Pending", "conditions": [unscheduled]}),
            Some("a node: 0/2 nodes are available"),
        );
        let pulling = json!([{"state": {"waiting": {"reason": "ContainerCreating"}}}]);
        check(
            json!({"phase": "Pending", "containerStatuses": pulling}),
            Some("its container: ContainerCreating"),
        );
        let unready = json!([{"type": "Ready", "status": "False"}]);
        check(
            json!({"phase": "Running", "conditions": unready}),
            Some("its readiness probe"),
        );
        let ready = json!([{"type": "Ready", "status": "True"}]);
        check(json!({"phase": "Running", "conditions": ready}), None);
        check(json!({"phase": "Succeeded"}), None);
    }
}
