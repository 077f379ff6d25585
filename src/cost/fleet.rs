//! Which machines workloads bring: pods that ask for a pool get nodes that an autoscaler launches for them. Pure, and
//! an estimate: one node a replica, of the cheapest type that the pool may launch and a replica fits on.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::cost::prices;
use crate::cost::prices::Capacity;

/// Machines of one sort, and how many of them there may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fleet {
    /// What they are for.
    pub purpose: String,
    /// Their instance type.
    pub instance_type: String,
    /// How they are bought.
    pub capacity: Capacity,
    /// How many there are at rest.
    pub least: u32,
    /// How many there are at most.
    pub most: u32,
}

/// What a machine offers.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Offer<'a> {
    category: &'a str,
    family: &'a str,
    generation: &'a str,
    size: &'a str,
    cpus: f64,
    gibibytes: f64,
}

/// The fleets that the Deployments among these objects bring, by the pools and autoscalers among them.
///
/// A Deployment that asks for no pool is taken to fit on the machines that are there anyway.
pub fn of_workloads(objects: &[&Value], region: &str) -> Vec<Fleet> {
    let of_kind = |kind: &'static str| objects.iter().copied().filter(move |object| object["kind"] == kind);
    let mut pools: Vec<&Value> = of_kind("NodePool").collect();
    pools.sort_by_key(|pool| std::cmp::Reverse(pool["spec"]["weight"].as_u64().unwrap_or(0)));
    let scaled: Vec<&Value> = of_kind("ScaledObject").collect();
    of_kind("Deployment")
        .filter_map(|deployment| {
            let pod = &deployment["spec"]["template"]["spec"];
            let pool = pools.iter().find(|pool| is_wanted(&pod["nodeSelector"], pool))?;
            let (instance_type, capacity) = match cheapest(pool, pod, region) {
                Some((instance_type, capacity)) => (instance_type.to_owned(), capacity),
                // It has no price, and whoever adds up says so.
                None => (format!("a node of pool {}", name(pool)), Capacity::OnDemand),
            };
            let (least, most) = replicas(deployment, &scaled);
            Some(Fleet {
                purpose: format!("{}/{}", text(&deployment["metadata"]["namespace"]), name(deployment)),
                instance_type,
                capacity,
                least,
                most,
            })
        })
        .collect()
}

/// Whether a pod's node selector asks for nodes of a pool.
fn is_wanted(selector: &Value, pool: &Value) -> bool {
    let labels = &pool["spec"]["template"]["metadata"]["labels"];
    let mut asked = selector.as_object().into_iter().flatten().peekable();
    asked.peek().is_some() && asked.all(|(label, value)| labels[label] == *value)
}

/// How many replicas a Deployment has, at least and at most.
fn replicas(deployment: &Value, scaled: &[&Value]) -> (u32, u32) {
    let count = |value: &Value, otherwise: u32| {
        let count = value.as_u64().and_then(|count| u32::try_from(count).ok());
        count.unwrap_or(otherwise)
    };
    let scales = |object: &&&Value| {
        object["spec"]["scaleTargetRef"]["name"] == deployment["metadata"]["name"]
            && object["metadata"]["namespace"] == deployment["metadata"]["namespace"]
    };
    if let Some(object) = scaled.iter().find(scales) {
        let least = count(&object["spec"]["minReplicaCount"], 0);
        return (least, count(&object["spec"]["maxReplicaCount"], 100).max(least));
    }
    let replicas = count(&deployment["spec"]["replicas"], 1);
    (replicas, replicas)
}

/// The cheapest machine of a pool that a pod fits on; Spot where the pool may have it, as Karpenter asks for it first.
fn cheapest(pool: &Value, pod: &Value, region: &str) -> Option<(&'static str, Capacity)> {
    let requirements = list(&pool["spec"]["template"]["spec"]["requirements"]);
    let spot = permits(requirements, "karpenter.sh/capacity-type", "spot");
    let capacity = if spot { Capacity::Spot } else { Capacity::OnDemand };
    let (cpus, gibibytes) = requests(pod);
    let fits = |instance_type: &&str| {
        Offer::of(instance_type).is_some_and(|offer| {
            offer.is_permitted(requirements, instance_type)
                && cpus < offer.cpus
                // The node's own processes take an eighth at most.
                && gibibytes <= offer.gibibytes * 0.875
        })
    };
    let priced = prices::types().filter(fits).filter_map(|instance_type| {
        let price = prices::instance(instance_type, capacity, region)?;
        Some((instance_type, price.hourly))
    });
    let cheapest = priced.min_by(|one, other| one.1.total_cmp(&other.1));
    cheapest.map(|(instance_type, _)| (instance_type, capacity))
}

impl<'a> Offer<'a> {
    /// Reads what the name of a type says: family, generation and size; none for a name of another form.
    fn of(instance_type: &'a str) -> Option<Self> {
        let (family, size) = instance_type.split_once('.')?;
        let digit = family.find(|letter: char| letter.is_ascii_digit())?;
        let (category, rest) = family.split_at(digit);
        let end = rest.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(rest.len());
        let cpus = match size {
            "small" | "medium" | "large" => 2.0,
            "xlarge" => 4.0,
            _ => 4.0 * size.strip_suffix("xlarge")?.parse::<f64>().ok()?,
        };
        let gibibytes = match (category, size) {
            (_, "small") => 2.0,
            (_, "medium") => 4.0,
            ("c", _) => cpus * 2.0,
            ("r" | "gr", _) => cpus * 8.0,
            _ => cpus * 4.0,
        };
        Some(Self {
            category,
            family,
            generation: &rest[..end],
            size,
            cpus,
            gibibytes,
        })
    }

    /// Whether a pool may launch it; what the name of a type does not tell is taken to fit.
    fn is_permitted(&self, requirements: &[Value], instance_type: &str) -> bool {
        let arm = self.family[self.category.len()..].contains('g');
        [
            ("kubernetes.io/arch", if arm { "arm64" } else { "amd64" }),
            ("node.kubernetes.io/instance-type", instance_type),
            ("karpenter.k8s.aws/instance-category", self.category),
            ("karpenter.k8s.aws/instance-family", self.family),
            ("karpenter.k8s.aws/instance-generation", self.generation),
            ("karpenter.k8s.aws/instance-size", self.size),
        ]
        .into_iter()
        .all(|(key, value)| permits(requirements, key, value))
    }
}

/// Whether a value fits all requirements of a key.
fn permits(requirements: &[Value], key: &str, value: &str) -> bool {
    requirements
        .iter()
        .filter(|requirement| requirement["key"] == key)
        .all(|requirement| {
            let values = list(&requirement["values"]);
            let among = values.iter().any(|one| one == value);
            let number = |text: &str| text.parse::<f64>().unwrap_or(0.0);
            let bound = || values.first().and_then(Value::as_str).map_or(0.0, number);
            match requirement["operator"].as_str() {
                Some("In") => among,
                Some("NotIn") => !among,
                Some("Gt") => number(value) > bound(),
                Some("Lt") => number(value) < bound(),
                _ => true,
            }
        })
}

/// What a pod asks for: processors, and memory in gibibytes.
fn requests(pod: &Value) -> (f64, f64) {
    let containers = list(&pod["containers"]).iter();
    containers.fold((0.0, 0.0), |(cpus, gibibytes), container| {
        let asked = &container["resources"]["requests"];
        (
            cpus + quantity(&asked["cpu"]),
            gibibytes + quantity(&asked["memory"]) / f64::from(1 << 30),
        )
    })
}

/// A quantity as Kubernetes writes it: `250m`, `4`, `24Gi`.
fn quantity(value: &Value) -> f64 {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let end = text
        .find(|letter: char| !letter.is_ascii_digit() && letter != '.')
        .unwrap_or(text.len());
    let units = BTreeMap::from([
        ("m", 0.001),
        ("k", 1e3),
        ("M", 1e6),
        ("G", 1e9),
        ("Ki", 1024.0),
        ("Mi", 1_048_576.0),
        ("Gi", 1_073_741_824.0),
    ]);
    let unit = units.get(&text[end..]).copied().unwrap_or(1.0);
    text[..end].parse::<f64>().unwrap_or(0.0) * unit
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn name(object: &Value) -> &str {
    text(&object["metadata"]["name"])
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pool(name: &str, weight: u32, requirements: &Value) -> Value {
        json!({
            "kind": "NodePool",
            "metadata": {"name": name},
            "spec": {
                "weight": weight,
                "template": {"metadata": {"labels": {"intent": name}}, "spec": {"requirements": requirements}},
            },
        })
    }

    fn deployment(selector: &Value, cpu: &str, memory: &str) -> Value {
        json!({
            "kind": "Deployment",
            "metadata": {"namespace": "default", "name": "vllm"},
            "spec": {"template": {"spec": {
                "nodeSelector": selector,
                "containers": [{"resources": {"requests": {"cpu": cpu, "memory": memory}}}],
            }}},
        })
    }

    fn check(objects: &[Value], expected: &[&str]) {
        let objects: Vec<&Value> = objects.iter().collect();
        let told: Vec<String> = of_workloads(&objects, prices::REGION)
            .iter()
            .map(|fleet| {
                let capacity = fleet.capacity.name();
                format!("{} to {} {} {capacity}", fleet.least, fleet.most, fleet.instance_type)
            })
            .collect();
        assert_eq!(told, expected);
    }

    #[test]
    fn a_replica_gets_the_cheapest_node_of_its_pool_that_it_fits_on() {
        let gpu = json!([
            {"key": "karpenter.sh/capacity-type", "operator": "In", "values": ["spot", "on-demand"]},
            {"key": "karpenter.k8s.aws/instance-family", "operator": "In", "values": ["g5"]},
            {"key": "karpenter.k8s.aws/instance-size", "operator": "In", "values": ["2xlarge", "4xlarge"]},
        ]);
        let scaled = json!({
            "kind": "ScaledObject",
            "metadata": {"namespace": "default", "name": "queue"},
            "spec": {"scaleTargetRef": {"name": "vllm"}, "minReplicaCount": 1, "maxReplicaCount": 10},
        });
        let intent = json!({"intent": "gpu"});
        let pool = pool("gpu", 1, &gpu);
        check(
            &[deployment(&intent, "4", "24Gi"), pool.clone(), scaled],
            &["1 to 10 g5.2xlarge spot"],
        );
        check(
            &[deployment(&intent, "4", "60Gi"), pool.clone()],
            &["1 to 1 a node of pool gpu on-demand"],
        );
        check(
            &[deployment(&intent, "12", "24Gi"), pool.clone()],
            &["1 to 1 g5.4xlarge spot"],
        );
        check(&[deployment(&json!({}), "4", "24Gi"), pool], &[]);
    }

    #[test]
    fn the_heaviest_pool_that_fits_is_taken() {
        let of_arch = |arch: &str| {
            json!([
                {"key": "kubernetes.io/arch", "operator": "In", "values": [arch]},
                {"key": "karpenter.sh/capacity-type", "operator": "In", "values": ["on-demand"]},
                {"key": "karpenter.k8s.aws/instance-generation", "operator": "Gt", "values": ["3"]},
            ])
        };
        let mut light = pool("apps", 1, &of_arch("amd64"));
        light["metadata"]["name"] = json!("light");
        let heavy = pool("apps", 2, &of_arch("arm64"));
        let pod = deployment(&json!({"intent": "apps"}), "250m", "128Mi");
        check(&[light.clone(), pod.clone(), heavy], &["1 to 1 t4g.small on-demand"]);
        check(&[light, pod], &["1 to 1 c5.large on-demand"]);
    }

    #[test]
    fn the_name_of_a_type_says_what_it_offers() {
        let check = |instance_type: &str, expected: Option<(&str, &str, f64, f64)>| {
            let offer = Offer::of(instance_type);
            let told = offer.map(|offer| (offer.category, offer.generation, offer.cpus, offer.gibibytes));
            assert_eq!(told, expected, "{instance_type}");
        };
        check("g5.2xlarge", Some(("g", "5", 8.0, 32.0)));
        check("gr6.4xlarge", Some(("gr", "6", 16.0, 128.0)));
        check("t4g.small", Some(("t", "4", 2.0, 2.0)));
        check("c7g.large", Some(("c", "7", 2.0, 4.0)));
        check("metal", None);
        check("m5.metal", None);
    }
}
