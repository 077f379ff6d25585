//! What a service account may do, from the roles that are bound to it.

use serde_json::Value;

use crate::kube::actors::kinds;
use crate::kube::actors::selector::list;
use crate::kube::store::Store;

/// Whether a service account may list pods in a namespace, or in all of them.
pub(super) fn may_list_pods(store: &Store, home: &str, account: &str, namespace: Option<&str>) -> bool {
    let mut everywhere = store.list(&kinds::CLUSTER_ROLE_BINDING);
    if everywhere.any(|binding| grants(store, binding, home, account, "")) {
        return true;
    }
    let Some(namespace) = namespace else {
        return false;
    };
    let mut here = store.list_in(&kinds::ROLE_BINDING, namespace);
    here.any(|binding| grants(store, binding, home, account, namespace))
}

fn grants(store: &Store, binding: &Value, home: &str, account: &str, namespace: &str) -> bool {
    let means = |subject: &Value| {
        let place = subject["namespace"].as_str().unwrap_or(namespace);
        subject["kind"] == "ServiceAccount" && subject["name"] == account && place == home
    };
    if !list(&binding["subjects"]).iter().any(means) {
        return false;
    }
    let reference = &binding["roleRef"];
    let name = reference["name"].as_str().unwrap_or_default();
    let role = if reference["kind"] == "Role" {
        store.get(&kinds::ROLE, namespace, name)
    } else {
        store.get(&kinds::CLUSTER_ROLE, "", name)
    };
    role.is_some_and(|role| list(&role["rules"]).iter().any(allows))
}

fn allows(rule: &Value) -> bool {
    let has = |field: &str, wanted: &str| list(&rule[field]).iter().any(|one| one == wanted || one == "*");
    has("apiGroups", "") && has("resources", "pods") && has("verbs", "list") && has("verbs", "watch")
}
