//! What EKS takes from the services under it: networks and machines of EC2, roles of IAM.

use crate::aws::Refusal;
use crate::aws::Scene;
use crate::aws::ec2::instances;
use crate::aws::ec2::instances::Launch;
use crate::aws::ec2::instances::Market;
use crate::aws::ec2::interfaces;
use crate::aws::ec2::interfaces::NewInterface;
use crate::aws::ec2::interfaces::Use;
use crate::aws::ec2::security_group_rules;
use crate::aws::ec2::security_group_rules::Peer;
use crate::aws::ec2::security_group_rules::Rule;
use crate::aws::ec2::security_groups;
use crate::aws::json::tags::Tags;
use crate::aws::query::iam::Distrust;
use crate::aws::rest::eks::Nodegroup;
use crate::aws::rest::eks::invalid_parameter;
use crate::aws::rest::eks::nodegroups::Capacity;
use crate::content::sha256;

/// How many interfaces a control plane puts into the VPC.
const INTERFACES: usize = 2;

/// The VPC of a cluster's subnets, which lie in at least two zones of it.
pub(super) fn vpc_of_cluster(scene: &mut Scene<'_>, region: &str, subnets: &[String]) -> Result<String, Refusal> {
    let mut places = Vec::new();
    for id in subnets {
        places.push(place(scene, region, id)?);
    }
    let Some((vpc, first)) = places.first().cloned() else {
        return Err(invalid_parameter(
            "Subnets specified must be in at least two different AZs",
        ));
    };
    if places.iter().any(|(other, _)| *other != vpc) {
        return Err(invalid_parameter("Subnets must be in the same VPC"));
    }
    if places.iter().all(|(_, zone)| *zone == first) {
        return Err(invalid_parameter(
            "Subnets specified must be in at least two different AZs",
        ));
    }
    Ok(vpc)
}

/// Whether a node group's subnets are the cluster's VPC's.
pub(super) fn check_subnets(scene: &mut Scene<'_>, region: &str, subnets: &[String], vpc: &str) -> Result<(), Refusal> {
    if subnets.is_empty() {
        return Err(invalid_parameter("At least one subnet is required"));
    }
    for id in subnets {
        if place(scene, region, id)?.0 != vpc {
            let message = format!("Subnet {id} is not in the VPC of the cluster, {vpc}");
            return Err(invalid_parameter(message));
        }
    }
    Ok(())
}

/// The VPC and the zone of a subnet.
fn place(scene: &mut Scene<'_>, region: &str, id: &str) -> Result<(String, String), Refusal> {
    let found = scene.account.region(region).ec2.subnets.get(id);
    let found = found.map(|subnet| (subnet.vpc.clone(), subnet.zone.clone()));
    found.ok_or_else(|| invalid_parameter(format!("The subnet ID '{id}' does not exist")))
}

/// Whether a security group exists.
pub(super) fn check_group(scene: &mut Scene<'_>, region: &str, id: &str) -> Result<(), Refusal> {
    if scene.account.region(region).ec2.security_groups.contains_key(id) {
        Ok(())
    } else {
        Err(invalid_parameter(format!("The security group '{id}' does not exist")))
    }
}

/// Makes the group that a control plane and its nodes share; its members reach each other.
pub(super) fn make_cluster_group(scene: &mut Scene<'_>, region: &str, cluster: &str, vpc: &str) -> Option<String> {
    let number = scene.random.below(1_000_000_000);
    let name = format!("eks-cluster-sg-{cluster}-{number}");
    let description = "EKS created security group applied to ENI that is attached to EKS Control Plane master nodes, as \
                       well as any managed workloads.";
    let tags = Tags::from([
        ("Name".to_owned(), name.clone()),
        ("aws:eks:cluster-name".to_owned(), cluster.to_owned()),
        (format!("kubernetes.io/cluster/{cluster}"), "owned".to_owned()),
    ]);
    let mut site = scene.site(region);
    let group = security_groups::create(&mut site, vpc, &name, description, tags).ok()?;
    let members = Rule::everything(false, Peer::Group(group.clone()));
    security_group_rules::allow(&mut site, &group, members);
    Some(group)
}

/// Puts the control plane's interfaces into its first subnets.
pub(super) fn make_interfaces(
    scene: &mut Scene<'_>,
    region: &str,
    cluster: &str,
    subnets: &[String],
    group: &str,
) -> Vec<String> {
    let mut site = scene.site(region);
    let interface = |subnet: &String| {
        let new = NewInterface {
            subnet,
            description: format!("Amazon EKS {cluster}"),
            groups: vec![group.to_owned()],
            tags: Tags::new(),
            r#use: Use::Service {
                requester: "amazon-eks".to_owned(),
                kind: "interface".to_owned(),
            },
        };
        interfaces::create(&mut site, new).ok()
    };
    subnets.iter().take(INTERFACES).filter_map(interface).collect()
}

/// Takes an interface of a control plane away.
pub(super) fn remove_interface(scene: &mut Scene<'_>, region: &str, id: &str) {
    interfaces::remove(&mut scene.site(region), id);
}

/// Takes a cluster's group away. What still uses it keeps it: then it is left behind, as in life.
pub(super) fn remove_group(scene: &mut Scene<'_>, region: &str, id: &str) {
    if let Err(refusal) = security_groups::remove(&mut scene.site(region), id) {
        tracing::debug!(group = id, reason = refusal.message, "a cluster's security group stays");
    }
}

/// Whether an ARN names a principal of this account that EKS has heard of. IAM here has roles; users are believed.
pub(super) fn check_principal(scene: &Scene<'_>, arn: &str) -> Result<(), Refusal> {
    let user = arn.starts_with(&format!("arn:aws:iam::{}:user/", scene.account.id));
    let role = scene.account.iam.role(arn);
    if user || role.is_some_and(|role| role.heard <= scene.now) {
        return Ok(());
    }
    let message = "The specified principalArn is invalid: invalid principal.";
    Err(invalid_parameter(message))
}

/// Whether a role can be assumed by a service and has the policies that it needs.
pub(super) fn check_role(scene: &Scene<'_>, arn: &str, service: &str, policies: &[&str]) -> Result<(), Refusal> {
    let role = scene.account.iam.trust(scene.now, arn, service).map_err(|distrust| {
        invalid_parameter(match distrust {
            Distrust::Missing | Distrust::Unheard if service.starts_with("pods.") => {
                format!("Role provided in the request does not exist: {arn}")
            }
            Distrust::Missing | Distrust::Unheard => format!("Role with arn: {arn}, does not exist"),
            Distrust::Untrusted => {
                format!(
                    "Role could not be assumed because the trusted entity is not correct: {arn} must trust {service}"
                )
            }
        })
    })?;
    let lacks = |policy: &&&str| !role.attached.iter().any(|arn| arn.rsplit('/').next() == Some(**policy));
    let missing: Vec<&&str> = policies.iter().filter(lacks).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let message = format!(
        "The provided role doesn't have the Amazon EKS Managed Policies associated with it. Please ensure the following \
         policies {missing:?} are attached"
    );
    Err(invalid_parameter(message))
}

/// Starts a node group's machines, one subnet after the other, each of the first type that there is capacity for.
pub(super) fn launch(
    scene: &mut Scene<'_>,
    region: &str,
    group: &Nodegroup,
    count: usize,
    security_group: &str,
) -> Vec<String> {
    let image = sha256(format!("{} {}", group.ami, group.version()).as_bytes());
    let mut tags = Tags::from([
        ("eks:cluster-name".to_owned(), group.cluster.clone()),
        ("eks:nodegroup-name".to_owned(), group.name.clone()),
        (format!("kubernetes.io/cluster/{}", group.cluster), "owned".to_owned()),
    ]);
    let mut groups = vec![security_group.to_owned()];
    let templates = &scene.account.region(region).ec2.launch_templates;
    let template = group
        .template
        .as_ref()
        .and_then(|pinned| templates.get(&pinned.id)?.versions.get(pinned.version - 1));
    if let Some(template) = template {
        let instance = template.tags.iter().filter(|(resource, _)| resource == "instance");
        tags.extend(instance.flat_map(|(_, tags)| tags.clone()));
        // A template that names groups replaces the cluster's own.
        if !template.groups.is_empty() {
            groups.clone_from(&template.groups);
        }
    }
    let mut site = scene.site(region);
    let machine = |subnet: &String| {
        let first = |kind: &String| {
            let wish = Launch {
                image: format!("ami-0{}", &image[..16]),
                kind: kind.clone(),
                market: match group.capacity {
                    Capacity::OnDemand => Market::OnDemand,
                    Capacity::Spot => Market::Spot,
                },
                subnet: subnet.clone(),
                groups: groups.clone(),
                profile: None,
                tags: tags.clone(),
                volume_gib: group.disk,
                token: None,
            };
            instances::launch(&mut site, &wish).ok()
        };
        group.types.iter().find_map(first)
    };
    group.subnets.iter().cycle().take(count).filter_map(machine).collect()
}

/// Ends machines.
pub(super) fn terminate(scene: &mut Scene<'_>, region: &str, machines: &[String]) {
    let mut site = scene.site(region);
    for id in machines {
        instances::terminate(&mut site, id);
    }
}
