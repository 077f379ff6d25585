//! The AWS load balancer controller: an Ingress of its class becomes a load balancer with everything that belongs to it.
//!
//! It acts only while its Deployment is Available. What it makes carries the tags of its cluster and its Ingress, by which
//! it finds it again: it remembers nothing. All of it goes when the Ingress goes, which carries a finalizer until then.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;
use serde_json::json;
use sha2::Digest;
use sha2::Sha256;

use crate::aws::Refusal;
use crate::aws::Site;
use crate::aws::Tags;
use crate::aws::ec2::security_group_rules;
use crate::aws::ec2::security_group_rules::Peer;
use crate::aws::ec2::security_group_rules::Rule;
use crate::aws::ec2::security_groups;
use crate::aws::later;
use crate::aws::query::elb::listeners;
use crate::aws::query::elb::listeners::Action;
use crate::aws::query::elb::load_balancers;
use crate::aws::query::elb::load_balancers::Kind;
use crate::aws::query::elb::load_balancers::NewLoadBalancer;
use crate::aws::query::elb::load_balancers::Scheme;
use crate::aws::query::elb::target_groups;
use crate::aws::query::elb::target_groups::Check;
use crate::aws::query::elb::target_groups::NewTargetGroup;
use crate::core::Scene;
use crate::kube::actors::Actor;
use crate::kube::actors::Work;
use crate::kube::actors::component;
use crate::kube::actors::endpoints::SERVICE_NAME;
use crate::kube::actors::event;
use crate::kube::actors::kinds;
use crate::kube::actors::pod;
use crate::kube::actors::selector::list;
use crate::kube::actors::site;
use crate::kube::store::GroupKind;
use crate::kube::store::Name;
use crate::kube::store::marked;

/// Makes load balancers for Ingresses and Services.
pub(super) const ACTOR: Actor = Actor {
    name: "load-balancer",
    watches: &[kinds::INGRESS, kinds::SERVICE, kinds::ENDPOINT_SLICE, kinds::DEPLOYMENT],
    work: Work::Whole(reconcile),
};

/// The tag that names the cluster.
const CLUSTER_TAG: &str = "elbv2.k8s.aws/cluster";

const INGRESS_FINALIZER: &str = "ingress.k8s.aws/resources";
const SERVICE_FINALIZER: &str = "service.k8s.aws/resources";

/// How soon it tries again what AWS refused.
const RETRY: Duration = Duration::from_secs(5);

/// One load balancer and what belongs to it, as far as it is there.
struct Made {
    balancer: Option<String>,
    listener: Option<String>,
    target_group: Option<String>,
    security_group: Option<String>,
}

/// What an object asks for.
struct Wish {
    kind: GroupKind,
    finalizer: &'static str,
    object: Value,
    balancer: Kind,
    service: Name,
    /// The port that it listens at, and the service's behind it.
    listens: u16,
    port: Value,
    health_path: String,
    internal: bool,
}

impl Wish {
    /// The tags of everything that is made for the object in this cluster.
    fn tags(&self, cluster: &str) -> Tags {
        let name = Name::of(&self.object);
        Tags::from([
            (CLUSTER_TAG.to_owned(), cluster.to_owned()),
            (self.tag("stack"), format!("{}/{}", name.namespace, name.name)),
        ])
    }

    /// A tag's name: `ingress.k8s.aws/stack`.
    fn tag(&self, name: &str) -> String {
        match self.balancer {
            Kind::Application => format!("ingress.k8s.aws/{name}"),
            Kind::Network => format!("service.k8s.aws/{name}"),
        }
    }
}

impl Made {
    /// What carries all of these tags.
    fn find(site: &mut Site<'_>, tags: &Tags) -> Self {
        let has_all = |found: &Tags| tags.iter().all(|(key, value)| found.get(key) == Some(value));
        let ec2 = site.ec2();
        let mut groups = ec2.security_groups.keys();
        let security_group = groups.find(|id| has_all(ec2.tags(id))).cloned();
        let elb = site.elb();
        let own = |arn: &&String| elb.tags.get(*arn).is_some_and(has_all);
        Self {
            balancer: elb.load_balancers.keys().find(own).cloned(),
            listener: elb.listeners.keys().find(own).cloned(),
            target_group: elb.target_groups.keys().find(own).cloned(),
            security_group,
        }
    }
}

fn reconcile(scene: &mut Scene<'_>) -> Option<Timestamp> {
    let controller = component::available(&scene.cluster.store, component::is_load_balancer_controller)?;
    let class = controller
        .argument("--ingress-class")
        .unwrap_or_else(|| "alb".to_owned());
    let cluster = controller
        .argument("--cluster-name")
        .unwrap_or_else(|| scene.cluster.name.clone());
    let ingresses = scene
        .cluster
        .store
        .list(&kinds::INGRESS)
        .filter_map(|ingress| of_ingress(ingress, &class));
    let services = scene
        .cluster
        .store
        .list(&kinds::SERVICE)
        .filter_map(|service| of_service(service));
    let wishes: Vec<Wish> = ingresses.chain(services).collect();
    let mut again = None;
    for wish in wishes {
        let done = if marked(&wish.object) {
            take_away(scene, &wish, &cluster)
        } else {
            fulfil(scene, &wish, &cluster)
        };
        if let Err(refusal) = done {
            let kind = event::Kind::Warning;
            event::record(
                scene,
                &wish.object,
                "ingress",
                kind,
                "FailedDeployModel",
                &refusal.message,
            );
            again = Some(later(scene.now, RETRY));
        }
    }
    again
}

fn of_ingress(ingress: &Value, class: &str) -> Option<Wish> {
    let annotation =
        |name: &str| ingress["metadata"]["annotations"][format!("alb.ingress.kubernetes.io/{name}")].as_str();
    let named = ingress["spec"]["ingressClassName"].as_str();
    let named = named.or_else(|| ingress["metadata"]["annotations"]["kubernetes.io/ingress.class"].as_str());
    if named != Some(class) {
        return None;
    }
    let path = list(&ingress["spec"]["rules"])
        .iter()
        .find_map(|rule| list(&rule["http"]["paths"]).first());
    let backend = path.map_or(&ingress["spec"]["defaultBackend"], |path| &path["backend"]);
    let namespace = ingress["metadata"]["namespace"].as_str().unwrap_or_default();
    let service = Name::new(namespace, backend["service"]["name"].as_str()?);
    let port = &backend["service"]["port"];
    let port = if port["number"].is_null() {
        &port["name"]
    } else {
        &port["number"]
    };
    let ports: Vec<Value> =
        serde_json::from_str(annotation("listen-ports").unwrap_or(r#"[{"HTTP": 80}]"#)).unwrap_or_default();
    let first = ports
        .first()
        .and_then(|port| port.as_object()?.values().next()?.as_u64());
    Some(Wish {
        kind: kinds::INGRESS,
        finalizer: INGRESS_FINALIZER,
        object: ingress.clone(),
        balancer: Kind::Application,
        service,
        listens: first.and_then(|port| u16::try_from(port).ok()).unwrap_or(80),
        port: port.clone(),
        health_path: annotation("healthcheck-path").unwrap_or("/").to_owned(),
        internal: annotation("scheme") != Some("internet-facing"),
    })
}

fn of_service(service: &Value) -> Option<Wish> {
    if service["spec"]["type"] != "LoadBalancer" {
        return None;
    }
    let port = list(&service["spec"]["ports"]).first()?;
    let scheme = &service["metadata"]["annotations"]["service.beta.kubernetes.io/aws-load-balancer-scheme"];
    Some(Wish {
        kind: kinds::SERVICE,
        finalizer: SERVICE_FINALIZER,
        object: service.clone(),
        balancer: Kind::Network,
        service: Name::of(service),
        listens: u16::try_from(port["port"].as_u64()?).ok()?,
        port: port["port"].clone(),
        health_path: String::new(),
        internal: scheme != "internet-facing",
    })
}

/// Makes what is not there yet, and keeps the targets in step with the endpoints.
fn fulfil(scene: &mut Scene<'_>, wish: &Wish, cluster: &str) -> Result<(), Refusal> {
    let name = Name::of(&wish.object);
    let finalizer = wish.finalizer;
    scene
        .cluster
        .store
        .change(&wish.kind, &name.namespace, &name.name, |object| {
            let mut finalizers = list(&object["metadata"]["finalizers"]).to_vec();
            if !finalizers.iter().any(|one| one == finalizer) {
                finalizers.push(json!(finalizer));
                object["metadata"]["finalizers"] = json!(finalizers);
            }
        });
    let (host, group) = make(scene, wish, cluster)?;
    follow_targets(scene, wish, &group)?;
    scene
        .cluster
        .store
        .change(&wish.kind, &name.namespace, &name.name, |object| {
            object["status"]["loadBalancer"]["ingress"] = json!([{"hostname": host}]);
        });
    Ok(())
}

/// Makes what is missing, in order, and gives the load balancer's host name and the target group behind it.
fn make(scene: &mut Scene<'_>, wish: &Wish, cluster: &str) -> Result<(String, String), Refusal> {
    let name = Name::of(&wish.object);
    let own = wish.tags(cluster);
    let tags = |resource: &str| {
        let mut tags = own.clone();
        tags.insert(wish.tag("resource"), resource.to_owned());
        tags
    };
    let short = physical(&name, pod::uid(&wish.object));
    let (vpc, subnets) = place(scene, wish.internal)?;
    let mut site = site(scene);
    let mut made = Made::find(&mut site, &own);
    if made.security_group.is_none() && wish.balancer == Kind::Application {
        let about = "[k8s] Managed SecurityGroup for LoadBalancer";
        let group = security_groups::create(&mut site, &vpc, &short, about, tags("ManagedLBSecurityGroup"))?;
        let peer = Peer::Cidr("0.0.0.0/0".to_owned());
        security_group_rules::allow(&mut site, &group, Rule::tcp(wish.listens, wish.listens, peer, ""));
        made.security_group = Some(group);
    }
    let balancer = match made.balancer {
        Some(arn) => arn,
        None => load_balancers::create(
            &mut site,
            NewLoadBalancer {
                name: short.clone(),
                kind: wish.balancer,
                scheme: if wish.internal {
                    Scheme::Internal
                } else {
                    Scheme::InternetFacing
                },
                subnets,
                groups: made.security_group.iter().cloned().collect(),
                tags: tags("LoadBalancer"),
            },
        )?,
    };
    let protocol = if wish.balancer == Kind::Application {
        "HTTP"
    } else {
        "TCP"
    };
    let group = match made.target_group {
        Some(arn) => arn,
        None => target_groups::create(
            &mut site,
            NewTargetGroup {
                name: short,
                protocol: protocol.to_owned(),
                port: 80,
                vpc,
                kind: "ip".to_owned(),
                check: Check {
                    path: wish.health_path.clone(),
                    protocol: protocol.to_owned(),
                    interval: 15,
                    healthy: 2,
                    ..Check::default()
                },
                tags: tags(&format!(
                    "{}/{}-{}:{}",
                    name.namespace, name.name, wish.service.name, wish.port
                )),
            },
        )?,
    };
    if made.listener.is_none() {
        let actions = vec![Action::forward(&group)];
        let tags = tags(&wish.listens.to_string());
        listeners::create(&mut site, &balancer, protocol, wish.listens, actions, tags)?;
    }
    let found = site.elb().load_balancers.get(&balancer);
    let host = found.map_or_else(String::new, |found| found.dns_name.clone());
    Ok((host, group))
}

/// The names that the controller gives: readable parts, and ten digits that tell apart.
fn physical(name: &Name, uid: &str) -> String {
    let digest = Sha256::digest(uid.as_bytes());
    let number = digest
        .iter()
        .take(5)
        .fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
    let part = |text: &str| {
        text.chars()
            .filter(char::is_ascii_alphanumeric)
            .take(8)
            .collect::<String>()
    };
    format!("k8s-{}-{}-{number:010x}", part(&name.namespace), part(&name.name))
}

/// The cluster's VPC, and one subnet of each zone that is tagged for such a load balancer.
fn place(scene: &mut Scene<'_>, internal: bool) -> Result<(String, Vec<String>), Refusal> {
    let name = scene.cluster.name.clone();
    let mut site = site(scene);
    let vpc = site
        .account
        .region(site.region)
        .eks
        .clusters
        .get(&name)
        .map(|cluster| cluster.vpc.clone());
    let role = if internal {
        "kubernetes.io/role/internal-elb"
    } else {
        "kubernetes.io/role/elb"
    };
    let ec2 = site.ec2();
    let mut zones = BTreeSet::new();
    let mut subnets = Vec::new();
    let tagged = |id: &str| matches!(ec2.tags(id).get(role).map(String::as_str), Some("" | "1"));
    for subnet in ec2
        .subnets
        .values()
        .filter(|subnet| vpc.as_ref() == Some(&subnet.vpc) && tagged(&subnet.id))
    {
        if zones.insert(subnet.zone.clone()) {
            subnets.push(subnet.id.clone());
        }
    }
    if subnets.len() < 2 {
        let message = format!(
            "Failed build model due to couldn't auto-discover subnets: unable to resolve at least one subnet (tag {role})"
        );
        return Err(Refusal::new("FailedBuildModel", message));
    }
    Ok((vpc.unwrap_or_default(), subnets))
}

/// Registers the ready endpoints of the service, and no others.
fn follow_targets(scene: &mut Scene<'_>, wish: &Wish, group: &str) -> Result<(), Refusal> {
    let store = &scene.cluster.store;
    let service = store.get(&kinds::SERVICE, &wish.service.namespace, &wish.service.name);
    let ports = service.map_or(&[][..], |service| list(&service["spec"]["ports"]));
    let port = ports
        .iter()
        .find(|port| port["port"] == wish.port || port["name"] == wish.port);
    let port_name = port.and_then(|port| port["name"].as_str()).unwrap_or_default();
    let mut wanted: BTreeSet<(String, u16)> = BTreeSet::new();
    for slice in store.list_in(&kinds::ENDPOINT_SLICE, &wish.service.namespace) {
        if slice["metadata"]["labels"][SERVICE_NAME] != *wish.service.name {
            continue;
        }
        let target = list(&slice["ports"])
            .iter()
            .find(|port| port["name"].as_str().unwrap_or_default() == port_name);
        let Some(port) = target.and_then(|port| u16::try_from(port["port"].as_u64()?).ok()) else {
            continue;
        };
        let ready = list(&slice["endpoints"])
            .iter()
            .filter(|one| one["conditions"]["ready"] == true);
        wanted.extend(ready.filter_map(|one| Some((one["addresses"][0].as_str()?.to_owned(), port))));
    }
    let mut site = site(scene);
    let current = site
        .elb()
        .target_groups
        .get(group)
        .map_or_else(Vec::new, |group| group.targets.clone());
    for target in &current {
        if !wanted.contains(&(target.id.clone(), target.port)) {
            target_groups::deregister(&mut site, group, &target.id, target.port)?;
        }
    }
    for (address, port) in wanted {
        target_groups::register(&mut site, group, &address, port)?;
    }
    Ok(())
}

/// Deletes what was made, in order; then the object may go.
fn take_away(scene: &mut Scene<'_>, wish: &Wish, cluster: &str) -> Result<(), Refusal> {
    if !list(&wish.object["metadata"]["finalizers"])
        .iter()
        .any(|one| one == wish.finalizer)
    {
        return Ok(());
    }
    let mut site = site(scene);
    let made = Made::find(&mut site, &wish.tags(cluster));
    if let Some(listener) = &made.listener {
        listeners::remove(&mut site, listener);
    }
    if let Some(balancer) = &made.balancer {
        load_balancers::remove(&mut site, balancer);
    }
    if let Some(group) = &made.target_group {
        target_groups::remove(&mut site, group)?;
    }
    // It can go once the load balancer's interfaces are gone.
    if let Some(group) = &made.security_group {
        security_groups::remove(&mut site, group)?;
    }
    let name = Name::of(&wish.object);
    let finalizer = wish.finalizer;
    scene
        .cluster
        .store
        .change(&wish.kind, &name.namespace, &name.name, |object| {
            if let Some(finalizers) = object["metadata"]["finalizers"].as_array_mut() {
                finalizers.retain(|one| one != finalizer);
            }
        });
    Ok(())
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::aws::wire::signed;
    use crate::core::Core;
    use crate::core::Origin;
    use crate::core::Reply;
    use crate::core::Settings;

    fn call(core: &mut Core, service: &str, body: &str) -> String {
        let request = signed(service)
            .method("POST")
            .header("content-type", "application/x-www-form-urlencoded; charset=utf-8")
            .body(Bytes::from(body.to_owned()))
            .unwrap();
        let Reply::Answer(response) = core.handle(core.now(), &Origin::Outside, request) else {
            panic!("AWS answers at once");
        };
        assert!(response.status().is_success(), "{response:?}");
        String::from_utf8(response.into_body().to_vec()).unwrap()
    }

    /// The text of the first element of a name.
    fn element<'a>(text: &'a str, name: &str) -> &'a str {
        let (_, rest) = text.split_once(&format!("<{name}>")).unwrap();
        rest.split_once("</").unwrap().0
    }

    #[test]
    fn what_was_made_is_found_again_by_all_of_its_tags() {
        let mut core = Core::new(&Settings {
            seed: 1,
            account: "123456789012".to_owned(),
            begins: "2026-03-01T09:00:00Z".parse().unwrap(),
        });
        let answer = call(
            &mut core,
            "ec2",
            "Action=CreateVpc&CidrBlock=10.0.0.0/16&Version=2016-11-15",
        );
        let vpc = element(&answer, "vpcId").to_owned();
        let mut make = |name: &str, cluster: &str| {
            let body = format!(
                "Action=CreateTargetGroup&Version=2015-12-01&Name={name}&Protocol=HTTP&Port=80&VpcId={vpc}&TargetType=ip\
                 &Tags.member.1.Key=elbv2.k8s.aws/cluster&Tags.member.1.Value={cluster}\
                 &Tags.member.2.Key=ingress.k8s.aws/stack&Tags.member.2.Value=default/gateway"
            );
            let answer = call(&mut core, "elasticloadbalancing", &body);
            element(&answer, "TargetGroupArn").to_owned()
        };
        let (own, other) = (make("own", "tube"), make("other", "tube-2"));
        let mut scene = core.aws_scene();
        let mut find = |cluster: &str, stack: &str| {
            let tags = [(CLUSTER_TAG, cluster), ("ingress.k8s.aws/stack", stack)];
            let tags = tags.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
            Made::find(&mut scene.site("eu-west-1"), &tags).target_group
        };
        assert_eq!(find("tube", "default/gateway"), Some(own));
        assert_eq!(find("tube-2", "default/gateway"), Some(other));
        assert_eq!(find("tube", "default/gate"), None);
    }
}
