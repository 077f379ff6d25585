//! The EBS CSI driver: claims become volumes of the account, and these go with their claims.
//!
//! It acts only while its controller is Available. A volume is made in the zone of the node that the scheduler chose.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;
use serde_json::json;

use crate::aws::ec2::volumes;
use crate::aws::later;
use crate::core::Scene;
use crate::kube::actors::Actor;
use crate::kube::actors::Work;
use crate::kube::actors::condition;
use crate::kube::actors::kinds;
use crate::kube::actors::pod;
use crate::kube::actors::quantity::milli;
use crate::kube::actors::scheduler;
use crate::kube::actors::selector;
use crate::kube::actors::selector::list;
use crate::kube::actors::site;
use crate::kube::store::Name;
use crate::kube::store::marked;

/// Provisions and deletes volumes.
pub(super) const ACTOR: Actor = Actor {
    name: "volume",
    watches: &[
        kinds::PERSISTENT_VOLUME_CLAIM,
        kinds::PERSISTENT_VOLUME,
        kinds::STORAGE_CLASS,
        kinds::DEPLOYMENT,
        kinds::POD,
    ],
    work: Work::Whole(reconcile),
};

const PROTECTION: &str = "kubernetes.io/pvc-protection";
const DRIVER: &str = "ebs.csi.aws.com";
const DEFAULT_CLASS: &str = "storageclass.kubernetes.io/is-default-class";

/// How soon a claim that waits for something outside the store is looked at again.
const LOOK: Duration = Duration::from_secs(5);

fn reconcile(scene: &mut Scene<'_>) -> Option<Timestamp> {
    let claims: Vec<_> = scene
        .cluster
        .store
        .list(&kinds::PERSISTENT_VOLUME_CLAIM)
        .cloned()
        .collect();
    for claim in &claims {
        protect(scene, claim);
    }
    let runs = condition::is_available(&scene.cluster.store, "kube-system", "ebs-csi-controller");
    if !runs {
        return None;
    }
    for claim in claims
        .iter()
        .filter(|claim| !marked(claim) && claim["status"]["phase"] != "Bound")
    {
        provision(scene, claim);
    }
    release(scene).then(|| later(scene.now, LOOK))
}

/// Keeps a claim that is being deleted as long as a pod mounts it.
fn protect(scene: &mut Scene<'_>, claim: &Value) {
    let name = Name::of(claim);
    let has = list(&claim["metadata"]["finalizers"])
        .iter()
        .any(|one| one == PROTECTION);
    let store = &mut scene.cluster.store;
    let mut pods = store.list_in(&kinds::POD, &name.namespace);
    let used = pods.any(|pod| !pod::over(pod) && scheduler::claims(pod).any(|claim| claim == name.name));
    drop(pods);
    let wanted = !marked(claim) || used;
    if has == wanted || (marked(claim) && !has) {
        return;
    }
    store.change(&kinds::PERSISTENT_VOLUME_CLAIM, &name.namespace, &name.name, |claim| {
        let mut finalizers = list(&claim["metadata"]["finalizers"]).to_vec();
        finalizers.retain(|one| one != PROTECTION);
        if wanted {
            finalizers.push(json!(PROTECTION));
        }
        claim["metadata"]["finalizers"] = json!(finalizers);
    });
}

/// Makes the volume of a claim, in the zone of the node that was chosen for its pod.
fn provision(scene: &mut Scene<'_>, claim: &Value) {
    let name = Name::of(claim);
    let store = &scene.cluster.store;
    let class = match claim["spec"]["storageClassName"].as_str() {
        Some(class) => store.get(&kinds::STORAGE_CLASS, "", class),
        None => store
            .list(&kinds::STORAGE_CLASS)
            .find(|class| class["metadata"]["annotations"][DEFAULT_CLASS] == "true"),
    };
    let Some(class) = class.filter(|class| class["provisioner"] == DRIVER).cloned() else {
        return;
    };
    let node = claim["metadata"]["annotations"]["volume.kubernetes.io/selected-node"].as_str();
    let Some(node) = node.and_then(|node| store.get(&kinds::NODE, "", node)) else {
        return;
    };
    let zone = selector::labels(node)["topology.kubernetes.io/zone"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    let volume = format!("pvc-{}", pod::uid(claim));
    let size = claim["spec"]["resources"]["requests"]["storage"].clone();
    let gib = u32::try_from(milli(&size) / (1000 * 1024 * 1024 * 1024))
        .unwrap_or(1)
        .max(1);
    let tags = BTreeMap::from([
        (
            format!("kubernetes.io/cluster/{}", scene.cluster.name),
            "owned".to_owned(),
        ),
        ("kubernetes.io/created-for/pvc/name".to_owned(), name.name.clone()),
        (
            "kubernetes.io/created-for/pvc/namespace".to_owned(),
            name.namespace.clone(),
        ),
        ("kubernetes.io/created-for/pv/name".to_owned(), volume.clone()),
        ("ebs.csi.aws.com/cluster".to_owned(), "true".to_owned()),
        ("ebs.csi.aws.com/cluster-name".to_owned(), scene.cluster.name.clone()),
        ("CSIVolumeName".to_owned(), volume.clone()),
    ]);
    let id = volumes::create(&mut site(scene), &zone, gib, tags);
    let object = json!({
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": volume, "finalizers": ["external-provisioner.volume.kubernetes.io/finalizer"]},
        "spec": {
            "capacity": {"storage": size},
            "accessModes": claim["spec"]["accessModes"],
            "persistentVolumeReclaimPolicy": class["reclaimPolicy"].as_str().unwrap_or("Delete"),
            "storageClassName": class["metadata"]["name"],
            "claimRef": {
                "apiVersion": "v1", "kind": "PersistentVolumeClaim",
                "namespace": name.namespace, "name": name.name, "uid": claim["metadata"]["uid"],
            },
            "csi": {"driver": DRIVER, "volumeHandle": id, "fsType": "ext4"},
        },
        "status": {"phase": "Bound"},
    });
    let store = &mut scene.cluster.store;
    store.create(&kinds::PERSISTENT_VOLUME, object, scene.now, scene.random);
    store.change(&kinds::PERSISTENT_VOLUME_CLAIM, &name.namespace, &name.name, |claim| {
        claim["spec"]["volumeName"] = json!(volume);
        claim["spec"]["storageClassName"] = class["metadata"]["name"].clone();
        claim["status"]["phase"] = json!("Bound");
        claim["status"]["capacity"] = json!({"storage": size});
        claim["status"]["accessModes"] = claim["spec"]["accessModes"].clone();
    });
}

/// Deletes the volumes whose claims are gone; says whether one is still attached.
fn release(scene: &mut Scene<'_>) -> bool {
    let volumes: Vec<_> = scene.cluster.store.list(&kinds::PERSISTENT_VOLUME).cloned().collect();
    let mut waits = false;
    for volume in volumes
        .iter()
        .filter(|volume| volume["spec"]["csi"]["driver"] == DRIVER)
    {
        let name = Name::of(volume).name;
        let reference = &volume["spec"]["claimRef"];
        let text = |field: &str| reference[field].as_str().unwrap_or_default();
        let store = &mut scene.cluster.store;
        let claim = store.get(&kinds::PERSISTENT_VOLUME_CLAIM, text("namespace"), text("name"));
        if claim.is_some_and(|claim| claim["metadata"]["uid"] == reference["uid"]) {
            continue;
        }
        if volume["spec"]["persistentVolumeReclaimPolicy"] == "Retain" {
            store.change(&kinds::PERSISTENT_VOLUME, "", &name, |volume| {
                volume["status"]["phase"] = json!("Released");
            });
            continue;
        }
        let id = volume["spec"]["csi"]["volumeHandle"].as_str().unwrap_or_default();
        let mut place = site(scene);
        if place
            .ec2()
            .volumes
            .get(id)
            .is_some_and(|volume| volume.attached.is_some())
        {
            waits = true;
            continue;
        }
        place.drop_resource::<volumes::Volume>(id);
        scene
            .cluster
            .store
            .remove(&kinds::PERSISTENT_VOLUME, &Name::new("", &name));
    }
    waits
}
