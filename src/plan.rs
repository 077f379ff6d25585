//! What is to be done: what should be, against what is. Pure; it decides everything but order and waiting.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;
use thiserror::Error;

use crate::error::Hint;
use crate::graph::Graph;
use crate::resource::desired::Desired;
use crate::resource::diff::Change;
use crate::resource::diff::diff;
use crate::resource::id::ResourceId;
use crate::resource::kind::Kind;
use crate::resource::observed::Observed;
use crate::resource::observed::Readiness;
use crate::resource::secret;
use crate::resource::unknown;
use crate::resource::unknown::Outputs;

/// What is to be done about one resource.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "action", rename_all = "kebab-case")]
pub enum Action {
    /// It does not exist.
    Create,
    /// It exists and differs.
    Update {
        /// How.
        changes: Vec<Change>,
    },
    /// It exists as it should be and is not usable yet.
    Await,
    /// It exists, failed, and is made anew.
    Replace {
        /// Why it failed.
        because: String,
    },
    /// It is as it should be.
    Nothing,
}

impl Action {
    /// What is done, in a word.
    pub fn verb(&self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Update { .. } => "update",
            Self::Await => "await",
            Self::Replace { .. } => "replace",
            Self::Nothing => "leave",
        }
    }
}

/// One resource and what is to be done about it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Step {
    /// What it should be.
    #[serde(flatten)]
    pub desired: Desired,
    /// What is to be done.
    #[serde(flatten)]
    pub action: Action,
}

/// Everything that is to be done.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// Each resource of the stack, in order of its id.
    pub steps: BTreeMap<ResourceId, Step>,
    /// What the stack owns and no longer wants.
    pub removals: Vec<Observed>,
    /// What is known already.
    pub known: Outputs,
}

/// Why there is no plan.
#[derive(Debug, Error, PartialEq)]
pub enum PlanError {
    /// A field changed that AWS does not change on an existing resource.
    #[error("`{id}` exists with {path} = {before}, and cannot become {after} while it exists")]
    Immutable {
        /// The resource.
        id: ResourceId,
        /// The field.
        path: String,
        /// What it is.
        before: String,
        /// What the stack wants.
        after: String,
    },
}

impl Hint for PlanError {
    fn hints(&self) -> Vec<String> {
        match self {
            Self::Immutable { path, .. } => {
                vec![format!("set {path} back, or take the stack down and up again")]
            }
        }
    }
}

/// Plans how what is becomes what should be.
pub fn plan(graph: &Graph, desired: &[Desired], observed: &[Observed]) -> Result<Plan, PlanError> {
    let found: BTreeMap<&ResourceId, &Observed> = observed.iter().map(|observed| (&observed.id, observed)).collect();
    let known: Outputs = observed
        .iter()
        .map(|observed| (observed.id.clone(), observed.outputs.clone()))
        .collect();
    let wanted: BTreeMap<&ResourceId, &Desired> = desired.iter().map(|desired| (&desired.id, desired)).collect();
    // What is known and stays so: what is made anew or changed gives other values than it does now.
    let mut lasting = known.clone();
    let mut steps = BTreeMap::new();
    for id in graph.order() {
        let desired = wanted[id];
        let action = action(desired, found.get(id).copied(), &lasting)?;
        match &action {
            Action::Create | Action::Replace { .. } => _ = lasting.remove(id),
            Action::Update { .. } => {
                let renewed = desired.kind.renewed_outputs();
                let outputs = lasting.entry(id.clone()).or_default();
                outputs.retain(|name, _| !renewed.contains(&name.as_str()));
            }
            Action::Await | Action::Nothing => {}
        }
        steps.insert(
            id.clone(),
            Step {
                desired: desired.clone(),
                action,
            },
        );
    }
    let removals = observed
        .iter()
        .filter(|observed| !wanted.contains_key(&observed.id))
        .cloned()
        .collect();
    Ok(Plan { steps, removals, known })
}

fn action(desired: &Desired, observed: Option<&Observed>, known: &Outputs) -> Result<Action, PlanError> {
    let Some(observed) = observed else {
        return Ok(Action::Create);
    };
    if let Readiness::Failed(because) = &observed.readiness {
        return Ok(Action::Replace {
            because: because.clone(),
        });
    }
    if observed.readiness == Readiness::Leaving {
        return Ok(Action::Create);
    }
    let live = in_order(observed.spec.clone(), desired.kind);
    let comparable = comparable(desired, known);
    let mut changes = diff(&comparable, &live);
    changes.extend(extra(desired.kind, &comparable, &live));
    if let Some(change) = changes.iter().find(|change| is_immutable(desired, change)) {
        return Err(PlanError::Immutable {
            id: desired.id.clone(),
            path: change.path.clone(),
            before: change.before.as_ref().map_or("nothing".to_owned(), ToString::to_string),
            after: unknown::describe(&change.after.to_string()),
        });
    }
    Ok(match observed.readiness {
        _ if !changes.is_empty() => Action::Update {
            changes: secret::hide(&desired.spec, changes),
        },
        Readiness::Waiting(_) => Action::Await,
        _ => Action::Nothing,
    })
}

/// The entries that are there and should not be, where every entry is ours.
fn extra(kind: Kind, desired: &Value, live: &Value) -> Vec<Change> {
    let mut changes = Vec::new();
    for field in kind.exact_fields() {
        let (wanted, found) = (&desired[*field], live[*field].as_object());
        for (name, value) in found.into_iter().flatten() {
            if wanted.get(name).is_none() {
                changes.push(Change {
                    path: format!("{field}.{name}"),
                    before: Some(value.clone()),
                    after: Value::Null,
                });
            }
        }
    }
    changes
}

/// The fields that can be compared with what is found.
fn comparable(desired: &Desired, known: &Outputs) -> Value {
    let mut spec = unknown::resolve(&desired.spec, known);
    if let Some(fields) = spec.as_object_mut() {
        for field in desired.kind.unobserved_fields() {
            fields.remove(*field);
        }
        // A version that the stack leaves open is the one that was chosen when the resource was made.
        fields.retain(|name, value| name != "version" || value != "");
    }
    in_order(spec, desired.kind)
}

/// The fields with those lists sorted whose order means nothing.
fn in_order(mut spec: Value, kind: Kind) -> Value {
    for field in kind.unordered_fields() {
        if let Some(Value::Array(items)) = spec.get_mut(*field) {
            items.sort_by_cached_key(ToString::to_string);
        }
    }
    spec
}

/// Whether the change is one that no API makes. What is missing altogether was not made yet, and can be.
fn is_immutable(desired: &Desired, change: &Change) -> bool {
    let field = change.path.split(['.', '[']).next().unwrap_or_default();
    let exists = change.before.as_ref().is_some_and(|before| !before.is_null());
    exists && desired.kind.immutable_fields().contains(&field)
}

impl Plan {
    /// Whether everything is as it should be.
    pub fn is_empty(&self) -> bool {
        self.removals.is_empty() && self.steps.values().all(|step| step.action == Action::Nothing)
    }

    /// The steps that do something.
    pub fn work(&self) -> impl Iterator<Item = &Step> {
        self.steps.values().filter(|step| step.action != Action::Nothing)
    }

    /// How many are created, changed, awaited and removed.
    pub fn counts(&self) -> Counts {
        let mut counts = Counts {
            removed: self.removals.len(),
            ..Counts::default()
        };
        for step in self.steps.values() {
            match step.action {
                Action::Create | Action::Replace { .. } => counts.created += 1,
                Action::Update { .. } => counts.changed += 1,
                Action::Await => counts.awaited += 1,
                Action::Nothing => counts.unchanged += 1,
            }
        }
        counts
    }
}

/// How many resources a plan touches, and how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Made.
    pub created: usize,
    /// Changed in place.
    pub changed: usize,
    /// Only waited for.
    pub awaited: usize,
    /// Removed.
    pub removed: usize,
    /// Left as they are.
    pub unchanged: usize,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn vpc(cidr: &str) -> Desired {
        Desired::new(Kind::Vpc, "main", "tube", json!({"cidr": cidr, "tags": {"a": "b"}}))
    }

    fn subnet() -> Desired {
        Desired::new(Kind::Subnet, "a", "tube-a", json!({"vpc": "unknown(vpc/main#id)"}))
    }

    fn found(desired: &Desired, spec: Value, readiness: Readiness) -> Observed {
        let outputs = BTreeMap::from([("id".to_owned(), "vpc-1".to_owned())]);
        Observed {
            id: desired.id.clone(),
            kind: desired.kind,
            spec,
            outputs,
            readiness,
        }
    }

    #[expect(clippy::needless_pass_by_value, reason = "tables read better with plain literals")]
    fn check(desired: &[Desired], observed: Vec<Observed>, expected: &[&str]) {
        let graph = Graph::new(desired).unwrap();
        let plan = plan(&graph, desired, &observed).unwrap();
        let mut told: Vec<String> = plan
            .steps
            .values()
            .map(|step| format!("{} {}", step.action.verb(), step.desired.id))
            .collect();
        told.extend(plan.removals.iter().map(|removal| format!("remove {}", removal.id)));
        assert_eq!(told, expected);
    }

    #[test]
    fn a_list_that_comes_back_in_another_order_is_no_change() {
        let [one, other] = ["a", "b"].map(|name| Desired::new(Kind::Subnet, name, name, json!({})));
        let subnets = json!({"subnets": ["unknown(subnet/a#id)", "unknown(subnet/b#id)"]});
        let table = Desired::new(Kind::RouteTable, "public", "tube-public", subnets);
        let with_id = |desired: &Desired, id: &str| Observed {
            outputs: BTreeMap::from([("id".to_owned(), id.to_owned())]),
            ..found(desired, json!({}), Readiness::Ready)
        };
        let observed = vec![
            with_id(&one, "subnet-9"),
            with_id(&other, "subnet-1"),
            found(&table, json!({"subnets": ["subnet-1", "subnet-9"]}), Readiness::Ready),
        ];
        check(
            &[one, other, table],
            observed,
            &["leave route-table/public", "leave subnet/a", "leave subnet/b"],
        );
    }

    #[test]
    fn what_depends_on_something_that_changes_changes_with_it() {
        let template = Desired::new(Kind::LaunchTemplate, "base", "b", json!({"imds_hop_limit": 2}));
        let version = json!({"launch_template_version": "unknown(launch-template/base#version)"});
        let group = Desired::new(Kind::NodeGroup, "base", "base", version);
        let at = |version: &str| BTreeMap::from([("version".to_owned(), version.to_owned())]);
        let observed = |hops: i32| {
            let template = found(&template, json!({"imds_hop_limit": hops}), Readiness::Ready);
            let group = found(&group, json!({"launch_template_version": "1"}), Readiness::Ready);
            let template = Observed {
                outputs: at("1"),
                ..template
            };
            vec![template, group]
        };
        let both = [template.clone(), group.clone()];
        check(
            &both,
            observed(2),
            &["leave launch-template/base", "leave node-group/base"],
        );
        check(
            &both,
            observed(1),
            &["update launch-template/base", "update node-group/base"],
        );
    }

    #[test]
    fn what_cannot_move_to_something_that_is_made_anew_is_refused() {
        let desired = [vpc("10.0.0.0/16"), subnet()];
        let observed = [found(&desired[1], json!({"vpc": "vpc-1"}), Readiness::Ready)];
        let error = plan(&Graph::new(&desired).unwrap(), &desired, &observed).unwrap_err();
        let message =
            "`subnet/a` exists with vpc = \"vpc-1\", and cannot become \"(known after vpc/main)\" while it exists";
        assert_eq!(error.to_string(), message);
    }

    #[test]
    fn an_entry_that_the_stack_does_not_have_goes_where_every_entry_is_ours() {
        let labels = |labels: Value| json!({"labels": labels});
        let group = Desired::new(Kind::NodeGroup, "base", "base", labels(json!({"a": "b"})));
        let more = found(&group, labels(json!({"a": "b", "c": "d"})), Readiness::Ready);
        check(std::slice::from_ref(&group), vec![more], &["update node-group/base"]);
        let same = found(&group, labels(json!({"a": "b"})), Readiness::Ready);
        check(std::slice::from_ref(&group), vec![same], &["leave node-group/base"]);
    }

    #[test]
    fn in_an_empty_account_everything_is_created() {
        check(
            &[vpc("10.0.0.0/16"), subnet()],
            vec![],
            &["create subnet/a", "create vpc/main"],
        );
    }

    #[test]
    fn what_is_as_it_should_be_is_left_alone() {
        let vpc = vpc("10.0.0.0/16");
        check(
            std::slice::from_ref(&vpc),
            vec![found(&vpc, vpc.spec.clone(), Readiness::Ready)],
            &["leave vpc/main"],
        );
    }

    #[test]
    fn a_reference_to_what_exists_is_compared_by_its_value() {
        let (vpc, subnet) = (vpc("10.0.0.0/16"), subnet());
        let observed = vec![
            found(&vpc, vpc.spec.clone(), Readiness::Ready),
            found(&subnet, json!({"vpc": "vpc-1"}), Readiness::Ready),
        ];
        check(&[vpc, subnet], observed, &["leave subnet/a", "leave vpc/main"]);
    }

    #[test]
    fn what_differs_is_changed_what_is_on_its_way_awaited_what_failed_replaced() {
        let vpc = vpc("10.0.0.0/16");
        let other_tags = json!({"cidr": "10.0.0.0/16", "tags": {"a": "c"}});
        check(
            std::slice::from_ref(&vpc),
            vec![found(&vpc, other_tags, Readiness::Ready)],
            &["update vpc/main"],
        );
        let waiting = Readiness::Waiting("pending".to_owned());
        check(
            std::slice::from_ref(&vpc),
            vec![found(&vpc, vpc.spec.clone(), waiting)],
            &["await vpc/main"],
        );
        let failed = Readiness::Failed("no capacity".to_owned());
        check(
            std::slice::from_ref(&vpc),
            vec![found(&vpc, vpc.spec.clone(), failed)],
            &["replace vpc/main"],
        );
    }

    #[test]
    fn what_is_going_away_is_made_again() {
        let vpc = vpc("10.0.0.0/16");
        check(
            std::slice::from_ref(&vpc),
            vec![found(&vpc, vpc.spec.clone(), Readiness::Leaving)],
            &["create vpc/main"],
        );
    }

    #[test]
    fn a_version_that_is_left_open_is_the_one_that_is_there() {
        for (wanted, expected) in [
            (json!({"version": ""}), "leave addon/dns"),
            (json!({"version": "v2"}), "update addon/dns"),
            (json!({"version": "v1", "other": ""}), "update addon/dns"),
            (json!({"version": "v1", "wait": true}), "leave addon/dns"),
        ] {
            let addon = Desired::new(Kind::Addon, "dns", "dns", wanted);
            let is = json!({"version": "v1", "other": "set"});
            check(
                std::slice::from_ref(&addon),
                vec![found(&addon, is, Readiness::Ready)],
                &[expected],
            );
        }
    }

    #[test]
    fn a_plan_counts_what_it_does_and_is_empty_when_it_does_nothing() {
        let names = ["new", "broken", "changed", "coming", "fine", "fine-too"];
        let desired = names.map(|name| Desired::new(Kind::Queue, name, name, json!({"size": 1})));
        let is =
            |place: usize, size: u32, readiness: Readiness| found(&desired[place], json!({"size": size}), readiness);
        let gone = Desired::new(Kind::Queue, "gone", "gone", json!({}));
        let gone = found(&gone, json!({}), Readiness::Ready);
        let (fine, fine_too) = (is(4, 1, Readiness::Ready), is(5, 1, Readiness::Ready));
        let planned = |desired: &[Desired], observed: &[Observed]| {
            plan(&Graph::new(desired).unwrap(), desired, observed).unwrap()
        };
        let all = planned(
            &desired,
            &[
                is(1, 1, Readiness::Failed("no capacity".to_owned())),
                is(2, 2, Readiness::Ready),
                is(3, 1, Readiness::Waiting("creating".to_owned())),
                fine.clone(),
                fine_too,
                gone.clone(),
            ],
        );
        let counts = Counts {
            created: 2,
            changed: 1,
            awaited: 1,
            removed: 1,
            unchanged: 2,
        };
        assert_eq!(all.counts(), counts);
        let work: Vec<&str> = all.work().map(|step| step.desired.name.as_str()).collect();
        assert_eq!(work, ["broken", "changed", "coming", "new"]);
        let wanted = &desired[4..5];
        assert!(!all.is_empty());
        assert!(planned(wanted, std::slice::from_ref(&fine)).is_empty());
        assert!(!planned(wanted, &[fine, gone]).is_empty());
        assert!(!planned(wanted, &[]).is_empty());
    }

    #[test]
    fn what_the_stack_no_longer_has_is_removed() {
        let vpc = vpc("10.0.0.0/16");
        check(
            &[],
            vec![found(&vpc, vpc.spec.clone(), Readiness::Ready)],
            &["remove vpc/main"],
        );
    }

    #[test]
    fn a_field_that_cannot_change_is_refused_with_both_values() {
        let desired = [vpc("10.1.0.0/16")];
        let observed = [found(&desired[0], vpc("10.0.0.0/16").spec, Readiness::Ready)];
        let error = plan(&Graph::new(&desired).unwrap(), &desired, &observed).unwrap_err();
        let message =
            "`vpc/main` exists with cidr = \"10.0.0.0/16\", and cannot become \"10.1.0.0/16\" while it exists";
        assert_eq!(error.to_string(), message);
        assert_eq!(error.hints(), ["set cidr back, or take the stack down and up again"]);
    }
}
