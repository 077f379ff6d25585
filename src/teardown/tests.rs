//! The whole teardown in virtual time against the local world: one of each kind planted, for us and for a neighbour
//! whose name begins with ours.

mod plant;

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::Value;
use serde_json::json;
use tubectl_clock::Clock;
use tubectl_world::Core;
use tubectl_world::Request;
use tubectl_world::Settings;
use tubectl_world::connect::Body;
use tubectl_world::connect::Connector;
use tubectl_world::connect::Gate;
use tubectl_world::connect::Programs;
use tubectl_world::connect::World;

use self::plant::Plant;
use self::plant::cluster;
use self::plant::network;
use self::plant::release;
use self::plant::role;
use super::*;
use crate::clients::Clients;
use crate::event::EventKind;
use crate::provider::aws::Place;
use crate::provider::aws::tags::Owner;
use crate::provider::kube::apply::Strangers;
use crate::resource::kind::Kind;
use crate::teardown::inventory::Entry;

const REGION: &str = "eu-west-1";

/// A world, and whoever calls it as a stack instance.
struct Ground {
    world: World,
    clients: Clients,
    place: Place,
    clock: Clock,
}

impl Ground {
    async fn new() -> Self {
        Self::where_goes_wrong(&[]).await
    }

    async fn where_goes_wrong(faults: &[&str]) -> Self {
        Self::reached(faults, |connector| connector).await
    }

    async fn reached(faults: &[&str], by: impl FnOnce(Connector) -> Connector) -> Self {
        let clock = Clock::starting_at("2026-01-05T10:00:00Z".parse().unwrap());
        let settings = Settings {
            seed: 7,
            account: "123456789012".to_owned(),
            begins: clock.now(),
        };
        let mut core = Core::new(&settings);
        for fault in faults {
            core.fault(fault.parse().unwrap());
        }
        let world = World::new(core, clock, Programs::default());
        let clients = Clients::local(by(world.connector()), REGION, clock);
        let place = Place::ask(&clients.aws).await.unwrap();
        Self {
            world,
            clients,
            place,
            clock,
        }
    }

    fn stack(&self, stack: &str, instance: &str) -> Aws {
        let owner = Owner {
            stack: stack.to_owned(),
            instance: instance.to_owned(),
            region: REGION.to_owned(),
        };
        Aws::new(&self.clients.aws, self.place.clone(), owner, self.clock)
    }

    fn inventory(&self) -> BTreeMap<String, Vec<String>> {
        self.world.look(Core::inventory)
    }
}

/// Does the work while time passes in the world.
async fn in_world<T>(world: &World, work: impl Future<Output = T>) -> T {
    // The SDKs' calls take tens of kilobytes each, more together than a test's stack has.
    let work = Box::pin(work);
    tokio::select! {
        () = world.run() => unreachable!("a world never ends"),
        done = work => done,
    }
}

async fn down(ground: &Ground, aws: &Aws, options: &Options) -> Report {
    down_with(ground, aws, None, options).await.0
}

/// Takes a stack away; gives what was told meanwhile, too.
async fn down_with(ground: &Ground, aws: &Aws, kube: Option<&Kube>, options: &Options) -> (Report, Vec<EventKind>) {
    let (events, mut heard) = Events::channel(ground.clock);
    let cancel = Cancel::default();
    let report = Box::pin(take_down(aws, kube, options, &events, &cancel)).await.unwrap();
    let told = std::iter::from_fn(|| heard.try_recv().ok()).map(|event| event.kind);
    (report, told.collect())
}

/// What was said meanwhile.
fn notes(told: &[EventKind]) -> Vec<&str> {
    let notes = told.iter().filter_map(|told| match told {
        EventKind::Note { text } => Some(text.as_str()),
        _ => None,
    });
    notes.collect()
}

/// What did not go by itself, and why.
fn blocked(report: &Report) -> Vec<String> {
    let blocked = report.blocked.iter();
    blocked
        .map(|blocked| format!("{}: {}", blocked.name, blocked.why))
        .collect()
}

/// How many of each kind are planted, and what of it is no more than what EKS makes along.
fn found(proof: &Proof) -> BTreeMap<&str, usize> {
    proof.rows.iter().map(|row| (row.kind.as_str(), row.found)).collect()
}

#[tokio::test(start_paused = true)]
async fn everything_of_ours_goes_and_all_that_a_neighbour_has_stays() {
    let ground = Ground::new().await;
    let (tube, neighbour) = (ground.stack("tube", "a1b2c3"), ground.stack("tube-2", "d4e5f6"));
    let work = async {
        Box::pin(Plant::everything(&ground, &neighbour)).await;
        let theirs = ground.inventory();
        let their_proof = prove(&neighbour, &Options::default()).await.unwrap();
        Box::pin(Plant::everything(&ground, &tube)).await;

        let before = prove(&tube, &Options::default()).await.unwrap();
        let found = found(&before);
        for entry in Entry::ALL {
            assert!(found[entry.name()] > 0, "no {} was found:\n{before}", entry.name());
        }

        let report = down(&ground, &tube, &Options::default()).await;
        assert_eq!(report.blocked, []);
        assert!(report.proof.is_clean(), "{}", report.proof);
        // The nodes of a group go with their group, its interfaces with its nodes.
        let by_itself = Entry::ALL.into_iter().filter(|entry| *entry != Entry::NodeInstance);
        for entry in by_itself {
            assert!(report.removed.contains_key(entry.name()), "no {} went", entry.name());
        }

        // The neighbour's things, to the last one, and nothing else but the key that waits for its deletion.
        let mut left = ground.inventory();
        assert_eq!(
            report.proof.rows.iter().map(|row| row.scheduled.len()).sum::<usize>(),
            1
        );
        for (kind, ids) in &mut left {
            let scheduled = |id: &String| kind == "kms/key" && !theirs[kind].contains(id);
            ids.retain(|id| !scheduled(id));
        }
        assert_eq!(left, theirs);
        assert_eq!(prove(&neighbour, &Options::default()).await.unwrap(), their_proof);
    };
    in_world(&ground.world, work).await;
}

#[tokio::test(start_paused = true)]
async fn a_second_teardown_changes_nothing() {
    let ground = Ground::new().await;
    let tube = ground.stack("tube", "a1b2c3");
    let work = async {
        Box::pin(network(&tube)).await;
        down(&ground, &tube, &Options::default()).await;
        let calls = ground.world.look(|core| core.mutations().len());
        let report = down(&ground, &tube, &Options::default()).await;
        assert!(report.removed.is_empty() && report.proof.is_clean(), "{}", report.proof);
        assert_eq!(ground.world.look(|core| core.mutations().len()), calls);
    };
    in_world(&ground.world, work).await;
}

#[tokio::test(start_paused = true)]
async fn data_that_is_to_be_kept_stays_and_is_told() {
    let ground = Ground::new().await;
    let tube = ground.stack("tube", "a1b2c3");
    let options = Options {
        keep_data: true,
        ..Options::default()
    };
    let work = async {
        let (vpc, subnets) = Box::pin(network(&tube)).await;
        let plant = Plant {
            aws: &tube,
            registry: ground.world.connector(),
            vpc,
            subnets,
            role: String::new(),
        };
        Box::pin(plant.data()).await;
        let report = down(&ground, &tube, &options).await;
        assert!(report.proof.is_clean(), "{}", report.proof);
        let kept = report.proof.rows.iter().filter(|row| !row.kept.is_empty());
        assert_eq!(
            kept.map(|row| row.kind.as_str()).collect::<Vec<_>>(),
            ["image repository", "bucket"]
        );
        let left = ground.inventory();
        assert!(
            left.contains_key("s3/bucket") && left.contains_key("ecr/repository"),
            "{left:?}"
        );
    };
    in_world(&ground.world, work).await;
}

#[tokio::test(start_paused = true)]
async fn the_cluster_of_a_stranger_is_left_alone() {
    let ground = Ground::new().await;
    let (tube, stranger) = (ground.stack("tube", "a1b2c3"), ground.stack("tube", "zzzzzz"));
    let work = async {
        Box::pin(Plant::everything(&ground, &stranger)).await;
        let theirs = ground.inventory();
        let report = down(&ground, &tube, &Options::default()).await;
        assert!(report.removed.is_empty(), "{:?}", report.removed);
        assert_eq!(ground.inventory(), theirs);
    };
    in_world(&ground.world, work).await;
}

#[tokio::test(start_paused = true)]
async fn what_stays_is_named_with_its_reason() {
    let ground = Ground::where_goes_wrong(&["ec2/DeleteNatGateway:denied"]).await;
    let tube = ground.stack("tube", "a1b2c3");
    let work = async {
        Box::pin(network(&tube)).await;
        let report = down(&ground, &tube, &Options::default()).await;
        let [first, not_tried @ ..] = report.blocked.as_slice() else {
            panic!("nothing was blocked")
        };
        assert_eq!(first.kind, "NAT gateway");
        assert!(first.why.contains("DeleteNatGateway"), "{}", first.why);
        let not_tried = not_tried.iter().map(|phase| format!("{}: {}", phase.name, phase.why));
        let expected = [
            "network: not tried: `NAT gateways and addresses` did not end",
            "late logs: not tried: `network` did not end",
        ];
        assert_eq!(not_tried.collect::<Vec<_>>(), expected);
        assert!(!report.proof.is_clean());
        let row = report.proof.rows.iter().find(|row| row.kind == "NAT gateway").unwrap();
        assert_eq!(row.found, 1);
    };
    in_world(&ground.world, work).await;
}

fn ingress(name: &str, finalizer: &str) -> Value {
    json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
        "metadata": {"name": name, "namespace": "default", "finalizers": [finalizer]},
        "spec": {"defaultBackend": {"service": {"name": "web", "port": {"number": 80}}}},
    })
}

#[tokio::test(start_paused = true)]
async fn a_finalizer_whose_controller_is_gone_is_taken_off() {
    let ground = Ground::new().await;
    let tube = ground.stack("tube", "a1b2c3");
    let work = async {
        let kube = cluster(&ground, &tube).await;
        kube.apply(&ingress("page", "group.ingress.k8s.aws/page"), Strangers::Respect)
            .await
            .unwrap();
        let (report, told) = down_with(&ground, &tube, Some(&kube), &Options::default()).await;
        assert_eq!(report.blocked, []);
        assert!(report.proof.is_clean(), "{}", report.proof);
        assert_eq!(
            notes(&told),
            ["took group.ingress.k8s.aws/page off Ingress default/page"]
        );
    };
    in_world(&ground.world, work).await;
}

#[tokio::test(start_paused = true)]
async fn a_finalizer_of_somebody_unknown_is_named_and_goes_with_the_cluster() {
    let ground = Ground::new().await;
    let tube = ground.stack("tube", "a1b2c3");
    let work = async {
        let kube = cluster(&ground, &tube).await;
        kube.apply(&ingress("page", "example.com/held"), Strangers::Respect)
            .await
            .unwrap();
        let (report, told) = down_with(&ground, &tube, Some(&kube), &Options::default()).await;
        assert_eq!(blocked(&report), ["Ingress default/page: held by example.com/held"]);
        assert!(report.proof.is_clean(), "{}", report.proof);
        assert!(!notes(&told).iter().any(|note| note.contains("took")), "{told:?}");
    };
    in_world(&ground.world, work).await;
}

#[tokio::test(start_paused = true)]
async fn a_finalizer_of_somebody_unknown_is_taken_off_when_asked() {
    let ground = Ground::new().await;
    let tube = ground.stack("tube", "a1b2c3");
    let strip = Options {
        strip_finalizers: true,
        ..Options::default()
    };
    let work = async {
        let kube = cluster(&ground, &tube).await;
        kube.apply(&ingress("page", "example.com/held"), Strangers::Respect)
            .await
            .unwrap();
        let (report, told) = down_with(&ground, &tube, Some(&kube), &strip).await;
        assert!(report.blocked.is_empty() && report.proof.is_clean(), "{}", report.proof);
        assert_eq!(notes(&told), ["took example.com/held off Ingress default/page"]);
    };
    in_world(&ground.world, work).await;
}

/// Lets some looks at NAT gateways fail as soon as one was told to go.
fn blinded() -> Gate {
    let blind = Arc::new(AtomicU32::new(0));
    Arc::new(move |onward: Connector, request: Request| {
        let asks = |action: &str| String::from_utf8_lossy(request.body()).contains(&format!("Action={action}&"));
        if asks("DeleteNatGateway") {
            // Two looks, each with all that the SDK tries again.
            blind.store(10, Ordering::Relaxed);
        }
        let one_less = |left: u32| left.checked_sub(1);
        let is_blind = asks("DescribeNatGateways")
            && blind
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less)
                .is_ok();
        Box::pin(async move {
            if !is_blind {
                return onward.send(request).await;
            }
            let mut failure = http::Response::new(Body::Whole("the service fails".into()));
            *failure.status_mut() = http::StatusCode::INTERNAL_SERVER_ERROR;
            Ok(failure)
        })
    })
}

#[tokio::test(start_paused = true)]
async fn a_look_that_fails_is_no_proof_that_anything_went() {
    let ground = Ground::reached(&[], |connector| connector.behind(blinded())).await;
    let tube = ground.stack("tube", "a1b2c3");
    let work = async {
        Box::pin(network(&tube)).await;
        let (report, told) = down_with(&ground, &tube, None, &Options::default()).await;
        assert!(report.blocked.is_empty() && report.proof.is_clean(), "{}", report.proof);
        let gateways = told.iter().filter(|told| match told {
            EventKind::Removed { kind, .. } => kind == "NAT gateway",
            _ => false,
        });
        assert_eq!(gateways.count(), 1);
        assert_eq!(report.removed["NAT gateway"], 1);
    };
    in_world(&ground.world, work).await;
}

#[tokio::test(start_paused = true)]
async fn a_look_that_is_denied_is_given_up_soon() {
    let ground = Ground::where_goes_wrong(&["sqs/ListQueues:denied"]).await;
    let tube = ground.stack("tube", "a1b2c3");
    let work = async {
        let begun = ground.clock.now();
        let report = down(&ground, &tube, &Options::default()).await;
        let took = ground.clock.since(begun);
        assert!(took < Duration::from_secs(60), "{took:?}");
        let blocked = blocked(&report);
        assert!(blocked[0].contains("ListQueues"), "{blocked:?}");
        assert_eq!(report.proof.left(), 0, "{}", report.proof);
        assert!(!report.proof.is_clean());
    };
    in_world(&ground.world, work).await;
}

#[tokio::test(start_paused = true)]
async fn what_a_release_installed_goes_with_its_record_and_its_namespace() {
    let ground = Ground::new().await;
    let tube = ground.stack("tube", "a1b2c3");
    let work = async {
        let kube = cluster(&ground, &tube).await;
        let settings = json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings", "namespace": "shop"},
        });
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}});
        for object in [&namespace, &settings] {
            kube.apply(object, Strangers::Respect).await.unwrap();
        }
        let record = release("shop", &settings);
        kube.apply(&record, Strangers::Respect).await.unwrap();
        let (report, told) = down_with(&ground, &tube, Some(&kube), &Options::default()).await;
        assert!(report.blocked.is_empty() && report.proof.is_clean(), "{}", report.proof);
        let gone = told.iter().filter_map(|told| match told {
            EventKind::Removed { kind, name } if kind == "object" => Some(name.as_str()),
            _ => None,
        });
        let gone: Vec<&str> = gone.collect();
        let expected = [
            "ConfigMap shop/settings",
            "Secret shop/sh.helm.release.v1.shop.v1",
            "Namespace shop",
        ];
        assert_eq!(gone, expected);
    };
    in_world(&ground.world, work).await;
}

#[tokio::test(start_paused = true)]
async fn a_stop_leaves_what_the_next_run_takes_away() {
    let ground = Ground::new().await;
    let tube = ground.stack("tube", "a1b2c3");
    let work = async {
        Box::pin(network(&tube)).await;
        let (events, _listening) = Events::channel(ground.clock);
        let cancel = Cancel::default();
        let options = Options::default();
        let teardown = take_down(&tube, None, &options, &events, &cancel);
        let stop = async {
            ground.clock.sleep(Duration::from_secs(10)).await;
            cancel.escalate();
        };
        let (stopped, ()) = tokio::join!(Box::pin(teardown), stop);
        assert!(matches!(stopped, Err(TeardownError::Stopped)));
        assert!(!prove(&tube, &Options::default()).await.unwrap().is_clean());
        assert!(down(&ground, &tube, &Options::default()).await.proof.is_clean());
    };
    in_world(&ground.world, work).await;
}

#[tokio::test(start_paused = true)]
async fn answers_that_get_lost_and_calls_that_fail_are_made_again() {
    let ground = Ground::where_goes_wrong(&[
        "ec2/DeleteSubnet:lost*2",
        "ec2/DisassociateRouteTable:lost*1",
        "ec2/DeleteVpc:error500*3",
        "ec2/ReleaseAddress:lost*1",
        "ec2/DetachInternetGateway:lost*1",
        "ec2/DescribeSubnets:throttle*6",
    ])
    .await;
    let tube = ground.stack("tube", "a1b2c3");
    let work = async {
        Box::pin(network(&tube)).await;
        let report = down(&ground, &tube, &Options::default()).await;
        assert!(report.blocked.is_empty() && report.proof.is_clean(), "{}", report.proof);
        assert_eq!(ground.inventory(), BTreeMap::new());
    };
    in_world(&ground.world, work).await;
}

#[tokio::test(start_paused = true)]
async fn single_resources_are_removed_and_once_more_without_complaint() {
    let ground = Ground::new().await;
    let tube = ground.stack("tube", "a1b2c3");
    let work = async {
        Box::pin(role(&tube, "pod", "pods.eks.amazonaws.com", "AmazonS3ReadOnlyAccess")).await;
        let (vpc, subnets) = Box::pin(network(&tube)).await;
        let plant = Plant {
            aws: &tube,
            registry: ground.world.connector(),
            vpc,
            subnets,
            role: String::new(),
        };
        Box::pin(plant.services()).await;
        Box::pin(plant.data()).await;
        let mut observed = Box::pin(tube.observe()).await.unwrap();
        // Untagged things in the VPC would keep it: here only what stands alone.
        observed.retain(|observed| !matches!(observed.kind, Kind::Vpc | Kind::InternetGateway | Kind::ElasticIp));
        let kinds: Vec<Kind> = observed.iter().map(|observed| observed.kind).collect();
        let alone = [
            Kind::Role,
            Kind::Policy,
            Kind::Key,
            Kind::Queue,
            Kind::Rule,
            Kind::Repository,
            Kind::Bucket,
        ];
        assert_eq!(kinds, alone);
        for _ in 0..2 {
            for observed in &observed {
                Box::pin(tube.remove(observed, |_| {})).await.unwrap();
            }
        }
        let left = Box::pin(tube.observe()).await.unwrap();
        assert!(left.iter().all(|left| !alone.contains(&left.kind)), "{left:?}");
    };
    in_world(&ground.world, work).await;
}
