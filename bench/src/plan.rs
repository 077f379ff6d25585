//! A plan of many resources that finds nothing to do.

use std::collections::BTreeSet;
use std::time::Duration;
use std::time::Instant;

use serde_json::Value;
use serde_json::json;
use tubectl::commands::session::Session;
use tubectl::commands::up;
use tubectl::resource::desired::Desired;
use tubectl::resource::id::ResourceId;
use tubectl::resource::kind::Kind;
use tubectl::resource::unknown::Unknown;
use tubectl::stack::load::Settings;

use crate::stage;

/// The kinds of objects that a stack of many has: what needs no node to be usable.
const KINDS: [(&str, &str); 4] = [
    ("v1", "ConfigMap"),
    ("v1", "ServiceAccount"),
    ("rbac.authorization.k8s.io/v1", "Role"),
    ("v1", "LimitRange"),
];

/// Plans a stack of `size` resources that all exist as they should be; gives the machine's time for it.
#[expect(
    clippy::disallowed_methods,
    reason = "the runtime's time is virtual, and this is about the machine's"
)]
pub(crate) fn measure(size: usize) -> Duration {
    let files = stage::find("./bench/many");
    stage::play(&files, async |_, context| {
        let open = async |command| {
            let session = Session::open(context, command, &files, &Settings::default()).await;
            let mut session = session.unwrap_or_else(|failure| panic!("{failure}"));
            let ground = session.stack.resources.len();
            session.stack.resources.extend((ground..size).map(resource));
            session
        };
        let session = open("up").await;
        let look = session
            .look(context)
            .await
            .unwrap_or_else(|failure| panic!("{failure}"));
        let outcome = up::apply(context, &session, &look).await;
        let outcome = outcome.unwrap_or_else(|failure| panic!("{failure}"));
        assert!(outcome.is_complete(), "{:?}", outcome.failed);
        let begun = Instant::now();
        let look = open("plan")
            .await
            .look(context)
            .await
            .unwrap_or_else(|failure| panic!("{failure}"));
        let took = begun.elapsed();
        assert_eq!(look.plan.steps.len(), size);
        assert!(look.plan.is_empty(), "{:?}", look.plan.work().next());
        took
    })
}

/// One of many: every tenth a security group, the others objects, as in a stack whose charts are large.
fn resource(number: usize) -> Desired {
    if number.is_multiple_of(10) {
        let vpc = Unknown::sentinel(&ResourceId::new(Kind::Vpc.name(), "main"), "id");
        let spec = json!({"vpc": vpc, "description": "One of many", "ingress": [], "tags": {}});
        let name = format!("many-{number}");
        return Desired::new(Kind::SecurityGroup, &name, name.clone(), spec);
    }
    let (version, kind) = KINDS[number % KINDS.len()];
    let name = format!("many-{number}");
    let mut object = json!({
        "apiVersion": version,
        "kind": kind,
        "metadata": {"name": name, "namespace": "default", "labels": {"app.kubernetes.io/part-of": "many"}},
    });
    let fields = match kind {
        "ConfigMap" => json!({"data": {"number": number.to_string(), "text": "a line of a configuration"}}),
        "Role" => json!({"rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list", "watch"]}]}),
        "LimitRange" => json!({"spec": {"limits": [{"type": "Container", "max": {"cpu": "4"}}]}}),
        _ => json!({"automountServiceAccountToken": false}),
    };
    if let (Value::Object(object), Value::Object(fields)) = (&mut object, fields) {
        object.extend(fields);
    }
    Desired {
        id: ResourceId::from_text(format!("many/{kind}/default/{name}")),
        kind: Kind::Object,
        name,
        spec: object,
        needs: BTreeSet::from([
            ResourceId::new(Kind::Cluster.name(), "main"),
            ResourceId::new(Kind::AccessEntry.name(), "caller"),
        ]),
    }
}
