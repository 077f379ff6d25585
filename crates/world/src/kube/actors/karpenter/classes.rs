//! `EC2NodeClasses`: the subnets, groups and profile that they find or make, and what they leave when they go.

use jiff::Timestamp;
use serde_json::Value;
use serde_json::json;

use crate::aws::ec2::launch_templates;
use crate::aws::later;
use crate::aws::query::iam::profiles;
use crate::core::Scene;
use crate::kube::actors::condition;
use crate::kube::actors::condition::Condition;
use crate::kube::actors::karpenter::LOOK;
use crate::kube::actors::karpenter::set_finalizer;
use crate::kube::actors::karpenter::tags;
use crate::kube::actors::karpenter::text;
use crate::kube::actors::kinds;
use crate::kube::actors::pod;
use crate::kube::actors::selector::list;
use crate::kube::actors::site;
use crate::kube::store::Name;
use crate::kube::store::marked;

const FINALIZER: &str = "karpenter.k8s.aws/termination";

pub(super) fn reconcile(scene: &mut Scene<'_>) -> Option<Timestamp> {
    let classes: Vec<_> = scene.cluster.store.list(&kinds::NODE_CLASS).cloned().collect();
    let mut unready = false;
    for class in &classes {
        let name = Name::of(class).name;
        if marked(class) {
            unready |= !end(scene, class, &name);
            continue;
        }
        set_finalizer(scene, &kinds::NODE_CLASS, &name, FINALIZER, true);
        unready |= !resolve(scene, class, &name);
    }
    unready.then(|| later(scene.now, LOOK * 5))
}

/// Finds what a class selects and says whether it is ready.
fn resolve(scene: &mut Scene<'_>, class: &Value, name: &str) -> bool {
    let subnets = selected(scene, &class["spec"]["subnetSelectorTerms"], Kind::Subnet);
    let groups = selected(scene, &class["spec"]["securityGroupSelectorTerms"], Kind::SecurityGroup);
    let images = !list(&class["spec"]["amiSelectorTerms"]).is_empty();
    let profile = profile(scene, class, name);
    let now = scene.now;
    let facts = [
        (
            "SubnetsReady",
            !subnets.is_empty(),
            "SubnetsNotFound",
            "SubnetSelector did not match any Subnets",
        ),
        (
            "SecurityGroupsReady",
            !groups.is_empty(),
            "SecurityGroupsNotFound",
            "SecurityGroupSelector did not match any SecurityGroups",
        ),
        (
            "AMIsReady",
            images,
            "AMIsNotFound",
            "AMISelector did not match any AMIs",
        ),
        (
            "InstanceProfileReady",
            profile.is_some(),
            "InstanceProfileNotReady",
            "the role is not there yet",
        ),
    ];
    let ready = facts.iter().all(|(_, holds, ..)| *holds);
    scene.cluster.store.change(&kinds::NODE_CLASS, "", name, |class| {
        class["status"]["subnets"] = subnets
            .iter()
            .map(|(id, zone)| json!({"id": id, "zone": zone}))
            .collect();
        class["status"]["securityGroups"] = groups
            .iter()
            .map(|(id, name)| json!({"id": id, "name": name}))
            .collect();
        if let Some(profile) = &profile {
            class["status"]["instanceProfile"] = json!(profile);
        }
        for (kind, holds, reason, message) in facts {
            let (reason, message) = if holds { (kind, "") } else { (reason, message) };
            condition::set(class, now, &Condition::new(kind, holds, reason, message));
        }
        condition::set(
            class,
            now,
            &Condition::new("ValidationSucceeded", ready, "ValidationSucceeded", ""),
        );
        let missing = facts.iter().find(|(_, holds, ..)| !holds);
        let (reason, message) = missing.map_or(("Ready", String::new()), |(kind, ..)| {
            ("UnhealthyDependents", format!("{kind}=False"))
        });
        condition::set(class, now, &Condition::new("Ready", ready, reason, &message));
    });
    ready
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Subnet,
    SecurityGroup,
}

/// The resources that one of the terms selects, each with its zone or name.
fn selected(scene: &mut Scene<'_>, terms: &Value, kind: Kind) -> Vec<(String, String)> {
    let mut site = site(scene);
    let ec2 = site.ec2();
    let all: Vec<(String, String)> = match kind {
        Kind::Subnet => ec2
            .subnets
            .values()
            .map(|one| (one.id.clone(), one.zone.clone()))
            .collect(),
        Kind::SecurityGroup => ec2
            .security_groups
            .values()
            .map(|one| (one.id.clone(), one.name.clone()))
            .collect(),
    };
    let fits = |id: &str, name: &str, term: &Value| {
        let tags = ec2.tags(id);
        let mut wanted = term["tags"].as_object().into_iter().flatten();
        let by_tags = wanted.all(|(key, value)| tags.get(key).is_some_and(|found| value == "*" || value == found));
        let by_id = term["id"].is_null() || term["id"] == id;
        let by_name = kind == Kind::Subnet || term["name"].is_null() || term["name"] == name;
        by_tags && by_id && by_name
    };
    all.into_iter()
        .filter(|(id, name)| list(terms).iter().any(|term| fits(id, name, term)))
        .collect()
}

/// The name of the class's instance profile, made if it is not there.
fn profile(scene: &mut Scene<'_>, class: &Value, name: &str) -> Option<String> {
    if let Some(given) = class["spec"]["instanceProfile"].as_str() {
        return Some(given.to_owned());
    }
    let role = text(&class["spec"]["role"]);
    let uid = pod::uid(class);
    let profile = format!("{}_{}", scene.cluster.name, uid.replace('-', ""));
    let mut tags = tags(scene, name);
    tags.insert("topology.kubernetes.io/region".to_owned(), scene.cluster.region.clone());
    let path = format!("/karpenter/{}/{}/{uid}/", scene.cluster.region, scene.cluster.name);
    let mut site = site(scene);
    if !site.account.iam.roles.contains_key(&role) {
        return None;
    }
    if !site.account.iam.profiles.contains_key(&profile) {
        profiles::create(&mut site, &profile, &path, tags).ok()?;
    }
    let made = site.account.iam.profiles.get_mut(&profile)?;
    made.role = Some(role);
    Some(profile)
}

/// Removes what a class made once no claim uses it; says whether it could go.
fn end(scene: &mut Scene<'_>, class: &Value, name: &str) -> bool {
    let claims = scene.cluster.store.list(&kinds::NODE_CLAIM);
    let used = claims
        .filter(|claim| claim["spec"]["nodeClassRef"]["name"] == name)
        .count();
    if used > 0 {
        let now = scene.now;
        let message = format!("Waiting on NodeClaim termination: {used} left");
        scene.cluster.store.change(&kinds::NODE_CLASS, "", name, |class| {
            condition::set(class, now, &Condition::new("Ready", false, "Terminating", &message));
        });
        return false;
    }
    let cluster = scene.cluster.name.clone();
    let made = class["status"]["instanceProfile"]
        .as_str()
        .filter(|_| class["spec"]["instanceProfile"].is_null());
    let mut site = site(scene);
    if let Some(profile) = made {
        site.account.iam.profiles.remove(profile);
    }
    let ec2 = site.ec2();
    let own = |id: &str| {
        let tags = ec2.tags(id);
        tags.get("eks:eks-cluster-name") == Some(&cluster)
            && tags
                .get("karpenter.k8s.aws/ec2nodeclass")
                .is_some_and(|class| class == name)
    };
    let templates: Vec<String> = ec2.launch_templates.keys().filter(|id| own(id)).cloned().collect();
    for template in templates {
        launch_templates::remove(&mut site, &template);
    }
    set_finalizer(scene, &kinds::NODE_CLASS, name, FINALIZER, false);
    true
}
