//! What the server alone decides about an object: its first status, addresses, names that tie it to others; and what an
//! update does not lose.

use serde_json::Value;
use serde_json::json;

use crate::core::Scene;
use crate::kube::api::defaults::each;
use crate::kube::api::defaults::put;
use crate::kube::api::resources::Resource;
use crate::kube::api::shape::Presence;
use crate::kube::api::shape::Shape;
use crate::kube::store::GroupKind;

/// Takes away a status that a client has no business with; what is always written stays, empty.
pub(crate) fn reset_status(resource: &Resource, object: &mut Value) {
    let Some(map) = object.as_object_mut() else { return };
    map.remove("status");
    if let Shape::Fields(structure) = &*resource.shape
        && let Some(field) = structure.fields.get("status")
        && field.presence == Presence::Structure
    {
        map.insert("status".to_owned(), field.shape.empty(field.presence));
    }
}

/// Decides what only the server decides about a new object: addresses, selectors, phases.
pub(crate) fn begin(scene: &mut Scene<'_>, resource: &Resource, object: &mut Value) {
    match (resource.group.as_str(), resource.kind.as_str()) {
        ("", "Namespace") => {
            object["spec"]["finalizers"] = json!(["kubernetes"]);
            object["status"] = json!({"phase": "Active"});
        }
        ("", "Pod") => {
            object["status"] = json!({"phase": "Pending", "qosClass": quality(&object["spec"])});
        }
        ("", "PersistentVolumeClaim" | "PersistentVolume") => object["status"]["phase"] = json!("Pending"),
        ("", "Service") => {
            begin_service(scene, object);
            object["status"] = json!({"loadBalancer": {}});
        }
        ("networking.k8s.io", "Ingress") => object["status"] = json!({"loadBalancer": {}}),
        ("batch", "Job") => begin_job(scene, object),
        ("apiextensions.k8s.io", "CustomResourceDefinition") => {
            let versions = object["spec"]["versions"].as_array().into_iter().flatten();
            let stored: Vec<Value> = versions
                .filter(|version| version["storage"] == true)
                .map(|version| version["name"].clone())
                .collect();
            object["status"]["storedVersions"] = json!(stored);
        }
        _ => {}
    }
}

/// Carries over what an update leaves out but does not mean to lose.
pub(crate) fn carry(resource: &Resource, old: &Value, new: &mut Value) {
    if resource.group.is_empty() && resource.kind == "Service" && new["spec"]["type"] != "ExternalName" {
        for field in ["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"] {
            if let Some(value) = old["spec"].get(field) {
                put(&mut new["spec"], field, value.clone());
            }
        }
        let old_ports = old["spec"]["ports"].as_array().cloned().unwrap_or_default();
        each(&mut new["spec"], "ports").for_each(|port| {
            let known = old_ports
                .iter()
                .find(|known| known["port"] == port["port"] && known["protocol"] == port["protocol"]);
            if let Some(node) = known.and_then(|known| known.get("nodePort")) {
                put(port, "nodePort", node.clone());
            }
        });
    }
    if resource.kind == "Job" {
        for field in ["selector", "template"] {
            if new["spec"][field] != old["spec"][field] && new["spec"].get("selector").is_none() {
                new["spec"][field] = old["spec"][field].clone();
            }
        }
    }
}

/// The quality of service that a pod's requests and limits give it.
fn quality(spec: &Value) -> &'static str {
    let mut requested = false;
    let mut guaranteed = true;
    for list in ["containers", "initContainers"] {
        for container in spec[list].as_array().into_iter().flatten() {
            let (requests, limits) = (&container["resources"]["requests"], &container["resources"]["limits"]);
            for name in ["cpu", "memory"] {
                requested |= !requests[name].is_null() || !limits[name].is_null();
                guaranteed &= !limits[name].is_null() && (requests[name].is_null() || requests[name] == limits[name]);
            }
        }
    }
    match (requested, guaranteed) {
        (false, _) => "BestEffort",
        (true, true) => "Guaranteed",
        (true, false) => "Burstable",
    }
}

fn begin_service(scene: &mut Scene<'_>, object: &mut Value) {
    let kind = object["spec"]["type"].as_str().unwrap_or_default().to_owned();
    if kind == "ExternalName" {
        return;
    }
    let spec = &mut object["spec"];
    if spec["clusterIP"].as_str().is_none_or(str::is_empty) {
        spec["clusterIP"] = json!(free_address(scene));
    }
    spec["clusterIPs"] = json!([spec["clusterIP"]]);
    put(spec, "ipFamilies", json!(["IPv4"]));
    put(spec, "ipFamilyPolicy", json!("SingleStack"));
    let wants_ports = match kind.as_str() {
        "NodePort" => true,
        "LoadBalancer" => spec["allocateLoadBalancerNodePorts"] != false,
        _ => false,
    };
    if wants_ports {
        let mut taken = node_ports(scene);
        each(spec, "ports").for_each(|port| {
            if port["nodePort"].as_u64().unwrap_or(0) == 0 {
                let free = (0..2768).map(|_| 30_000 + scene.random.below(2768) as u64);
                let mut free = free.chain(30_000..32_768);
                let free = free.find(|number| !taken.contains(number)).unwrap_or(30_000);
                port["nodePort"] = json!(free);
                taken.push(free);
            }
        });
    }
}

/// An address of the services' network that no service has.
fn free_address(scene: &mut Scene<'_>) -> String {
    let kind = GroupKind::of("Service");
    loop {
        let address = format!("172.20.{}.{}", scene.random.below(256), 2 + scene.random.below(253));
        let mut services = scene.cluster.store.list(&kind);
        if !services.any(|service| service["spec"]["clusterIP"] == address.as_str()) {
            return address;
        }
    }
}

fn node_ports(scene: &Scene<'_>) -> Vec<u64> {
    let kind = GroupKind::of("Service");
    let services = scene.cluster.store.list(&kind);
    services
        .flat_map(|service| service["spec"]["ports"].as_array().into_iter().flatten())
        .filter_map(|port| port["nodePort"].as_u64())
        .collect()
}

/// Ties a job to its pods by its uid, which is therefore drawn here.
fn begin_job(scene: &mut Scene<'_>, object: &mut Value) {
    if object["spec"]["manualSelector"] == true {
        return;
    }
    let uid = scene.random.uuid();
    object["metadata"]["uid"] = json!(uid);
    let name = object["metadata"]["name"].clone();
    let labels = [
        ("batch.kubernetes.io/controller-uid", json!(uid)),
        ("controller-uid", json!(uid)),
        ("batch.kubernetes.io/job-name", name.clone()),
        ("job-name", name),
    ];
    object["spec"]["selector"] = json!({"matchLabels": {"batch.kubernetes.io/controller-uid": uid}});
    let places = ["/metadata", "/spec/template/metadata"];
    if object["spec"]["template"]["metadata"].is_null() {
        object["spec"]["template"]["metadata"] = json!({});
    }
    for place in places {
        let Some(metadata) = object.pointer_mut(place) else {
            continue;
        };
        put(metadata, "labels", json!({}));
        for (label, value) in &labels {
            metadata["labels"][*label] = value.clone();
        }
    }
}
