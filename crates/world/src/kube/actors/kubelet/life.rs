//! The life of a pod's containers: pulled, created, running, probed, ended, started again.
//!
//! What will happen to a container is known when it starts: when its program answers, which probe sees that first, or
//! which one kills it before. So a pod needs a look only when something changes.

use std::time::Duration;

use jiff::Timestamp;
use serde::Deserialize;
use serde::Serialize;
use serde_json::Value;

use crate::aws::later;
use crate::core::Scene;
use crate::kube::actors::endpoints::pod_port;
use crate::kube::actors::event;
use crate::kube::actors::kinds;
use crate::kube::actors::kubelet::image;
use crate::kube::actors::kubelet::program;
use crate::kube::actors::kubelet::program::Program;
use crate::kube::actors::pod;
use crate::kube::actors::quantity::GPU;
use crate::kube::actors::selector::list;
use crate::kube::network::traffic;
use crate::kube::network::vllm;
use crate::kube::store::Name;

/// What a pod does on its node.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Life {
    pub(super) address: String,
    pub(super) began: Timestamp,
    /// Init containers first, each in the order of the specification.
    pub(super) containers: Vec<Container>,
    // When a pod that is being deleted will have ended; drawn when its end begins.
    end: Option<Timestamp>,
}

/// What one container does.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Container {
    pub(super) name: String,
    pub(super) image: String,
    pub(super) init: bool,
    pub(super) restarts: u32,
    pub(super) stage: Stage,
    pub(super) last: Option<Exit>,
}

/// Where a container is.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum Stage {
    /// An init container comes first.
    Waiting,
    Pulling {
        until: Timestamp,
    },
    Creating {
        until: Timestamp,
    },
    Running(Run),
    /// It crashed and waits to start again.
    BackingOff {
        until: Timestamp,
    },
    Exited(Exit),
}

/// A running container, with what will become of it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Run {
    pub(super) since: Timestamp,
    /// When its startup probe passes, or at once if it has none.
    pub(super) started: Option<Timestamp>,
    /// When its readiness probe first passes.
    pub(super) ready: Option<Timestamp>,
    /// When it ends by itself or a probe kills it.
    pub(super) end: Option<Exit>,
    pub(super) is_started: bool,
    pub(super) is_ready: bool,
}

/// How a container ended.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Exit {
    pub(super) since: Timestamp,
    pub(super) at: Timestamp,
    pub(super) code: i32,
    /// The probe that killed it.
    pub(super) probe: Option<String>,
}

/// Something worth an event.
pub(super) struct Happening {
    pub(super) kind: event::Kind,
    pub(super) reason: &'static str,
    pub(super) message: String,
}

impl Happening {
    fn normal(reason: &'static str, message: String) -> Self {
        Self {
            kind: event::Kind::Normal,
            reason,
            message,
        }
    }

    fn warning(reason: &'static str, message: String) -> Self {
        Self {
            kind: event::Kind::Warning,
            reason,
            message,
        }
    }
}

impl Life {
    /// A pod that was just given to its node.
    pub(super) fn begin(scene: &mut Scene<'_>, pod: &Value, node: &str, address: String) -> Self {
        let sandbox = later(scene.now, scene.random.seconds(0.3, 0.6, 1.2));
        let mut containers = Vec::new();
        let init = list(&pod["spec"]["initContainers"])
            .iter()
            .map(|container| (container, true));
        let usual = list(&pod["spec"]["containers"])
            .iter()
            .map(|container| (container, false));
        for (container, init) in init.chain(usual) {
            let pulled = image::pull(scene, container, node).map_or(sandbox, |pull| later(sandbox, pull));
            containers.push(Container {
                name: container["name"].as_str().unwrap_or_default().to_owned(),
                image: container["image"].as_str().unwrap_or_default().to_owned(),
                init,
                restarts: 0,
                stage: Stage::Pulling { until: pulled },
                last: None,
            });
        }
        Self {
            address,
            began: scene.now,
            containers,
            end: None,
        }
    }

    /// Lets everything happen that is due; says what is worth an event.
    pub(super) fn advance(&mut self, scene: &mut Scene<'_>, pod: &Value) -> Vec<Happening> {
        let mut happenings = Vec::new();
        let mut blocked = false;
        for index in 0..self.containers.len() {
            let name = self.containers[index].name.clone();
            let init = self.containers[index].init;
            let Some(specification) = specification(pod, &name) else {
                continue;
            };
            if init {
                if !blocked {
                    self.containers[index].advance(scene, pod, specification, &mut happenings);
                }
                let sidecar = specification["restartPolicy"] == "Always";
                let stage = &self.containers[index].stage;
                let done = match stage {
                    Stage::Exited(exit) => exit.code == 0,
                    Stage::Running(run) => sidecar && run.is_started,
                    _ => false,
                };
                blocked |= !done;
            } else if !blocked {
                self.containers[index].advance(scene, pod, specification, &mut happenings);
            }
        }
        happenings
    }

    /// When the next thing happens.
    pub(super) fn next(&self) -> Option<Timestamp> {
        let mut next: Option<Timestamp> = None;
        for container in &self.containers {
            if let Some(at) = container.next() {
                next = Some(next.map_or(at, |earliest| earliest.min(at)));
            }
            let over = matches!(&container.stage, Stage::Exited(exit) if exit.code == 0);
            if container.init && !over && !matches!(container.stage, Stage::Running(_)) {
                break;
            }
        }
        next
    }

    /// When a pod that was told to end has ended; its grace period may be over before.
    pub(super) fn ends(&mut self, scene: &mut Scene<'_>, pod: &Value) -> Timestamp {
        let end = match self.end {
            Some(end) => end,
            None => later(scene.now, ending(scene, pod)),
        };
        self.end = Some(end);
        if scene.cluster.actors.traffic.in_flight(&Name::of(pod)) > 0 {
            return end.max(later(scene.now, Duration::from_secs(1)));
        }
        end
    }
}

/// How long the containers of a pod take to end when they are told to.
fn ending(scene: &mut Scene<'_>, pod: &Value) -> Duration {
    let mut longest = Duration::ZERO;
    for container in list(&pod["spec"]["containers"]) {
        let hook = container["lifecycle"]["preStop"]["sleep"]["seconds"]
            .as_u64()
            .unwrap_or(0);
        let own = match program::of(container) {
            Program::Vllm(_) => scene.random.seconds(1.0, 2.0, 4.0),
            // A shell as the first process of a container ignores the signal.
            Program::Ends { .. } => Duration::from_secs(pod::grace(pod)),
            Program::Serves => scene.random.seconds(0.2, 0.5, 2.0),
        };
        longest = longest.max(own + Duration::from_secs(hook));
    }
    longest
}

fn specification<'a>(pod: &'a Value, name: &str) -> Option<&'a Value> {
    let init = list(&pod["spec"]["initContainers"]).iter();
    let mut all = init.chain(list(&pod["spec"]["containers"]));
    all.find(|container| container["name"] == name)
}

impl Container {
    fn advance(&mut self, scene: &mut Scene<'_>, pod: &Value, specification: &Value, happenings: &mut Vec<Happening>) {
        let now = scene.now;
        loop {
            self.stage = match &mut self.stage {
                Stage::Waiting => Stage::Creating { until: now },
                Stage::Pulling { until } if *until <= now => {
                    happenings.push(Happening::normal(
                        "Pulled",
                        format!("Successfully pulled image \"{}\"", self.image),
                    ));
                    let creating = scene.random.seconds(0.1, 0.2, 0.6);
                    Stage::Creating {
                        until: later(now, creating),
                    }
                }
                Stage::Creating { until } | Stage::BackingOff { until } if *until <= now => {
                    happenings.push(Happening::normal("Started", format!("Started container {}", self.name)));
                    Stage::Running(Run::begin(scene, pod, specification))
                }
                Stage::Running(run) => {
                    if let Some(exit) = run.end.clone().filter(|exit| exit.at <= now) {
                        if let Some(probe) = &exit.probe {
                            let message = format!("Container {} failed {probe} probe, will be restarted", self.name);
                            happenings.push(Happening::warning("Killing", message));
                        }
                        self.after(pod, specification, exit, happenings)
                    } else {
                        run.is_started = run.started.is_some_and(|at| at <= now);
                        run.is_ready = run.ready.is_some_and(|at| at <= now);
                        return;
                    }
                }
                _ => return,
            };
        }
    }

    /// What follows an exit: the end, or another start after a while.
    fn after(&mut self, pod: &Value, specification: &Value, exit: Exit, happenings: &mut Vec<Happening>) -> Stage {
        let policy = pod["spec"]["restartPolicy"].as_str().unwrap_or("Always");
        let again = match policy {
            "Never" => false,
            "OnFailure" => exit.code != 0,
            _ => !self.init || exit.code != 0 || specification["restartPolicy"] == "Always",
        };
        if !again {
            return Stage::Exited(exit);
        }
        self.restarts += 1;
        let wait = Duration::from_secs(10 << (self.restarts - 1).min(5)).min(Duration::from_mins(5));
        let until = later(
            exit.at,
            if self.restarts == 1 {
                Duration::from_secs(1)
            } else {
                wait
            },
        );
        if self.restarts > 1 {
            let message = format!("Back-off restarting failed container {}", self.name);
            happenings.push(Happening::warning("BackOff", message));
        }
        self.last = Some(exit);
        Stage::BackingOff { until }
    }

    fn next(&self) -> Option<Timestamp> {
        match &self.stage {
            Stage::Pulling { until } | Stage::Creating { until } | Stage::BackingOff { until } => Some(*until),
            Stage::Running(run) => {
                let started = run.started.filter(|_| !run.is_started);
                let ready = run.ready.filter(|_| !run.is_ready);
                let end = run.end.as_ref().map(|exit| exit.at);
                [started, ready, end].into_iter().flatten().min()
            }
            Stage::Waiting | Stage::Exited(_) => None,
        }
    }
}

impl Run {
    /// Starts a container now and works out what will become of it.
    fn begin(scene: &mut Scene<'_>, pod: &Value, specification: &Value) -> Self {
        let since = scene.now;
        let program = program::of(specification);
        let (serves, mut end) = fate(scene, pod, specification, &program);
        let answers = |probe: &Value| answers(pod, specification, &program, probe);
        let mut dies = |at: Option<Timestamp>, probe: &str| {
            if let Some(at) = at.filter(|at| end.as_ref().is_none_or(|exit| exit.at > *at)) {
                let probe = Some(probe.to_owned());
                end = Some(Exit {
                    since,
                    at,
                    code: 137,
                    probe,
                });
            }
        };
        let startup = Probe::of(&specification["startupProbe"]);
        let started = startup.as_ref().map_or(Some(since), |probe| {
            let serves = serves.filter(|_| answers(&specification["startupProbe"]));
            dies(probe.gives_up(since, since, serves), "startup");
            probe.passes(since, since, serves)
        });
        let liveness = Probe::of(&specification["livenessProbe"]);
        if let (Some(probe), Some(started)) = (liveness, started) {
            let serves = serves.filter(|_| answers(&specification["livenessProbe"]));
            dies(probe.gives_up(since, started, serves), "liveness");
        }
        let readiness = Probe::of(&specification["readinessProbe"]);
        let ready = started.and_then(|started| match &readiness {
            None => Some(started),
            Some(probe) => {
                let serves = serves.filter(|_| answers(&specification["readinessProbe"]));
                probe.passes(since, started, serves)
            }
        });
        let before_end = |at: &Timestamp| end.as_ref().is_none_or(|exit| *at < exit.at);
        Self {
            since,
            started: started.filter(before_end),
            ready: ready.filter(before_end),
            is_started: false,
            is_ready: false,
            end,
        }
    }
}

/// When a program that starts now begins to answer, and when it ends by itself.
fn fate(
    scene: &mut Scene<'_>,
    pod: &Value,
    specification: &Value,
    program: &Program,
) -> (Option<Timestamp>, Option<Exit>) {
    let since = scene.now;
    let exit = |at, code| Exit {
        since,
        at,
        code,
        probe: None,
    };
    match program {
        Program::Serves => (Some(later(since, scene.random.seconds(0.2, 0.6, 1.5))), None),
        Program::Ends { after, code } => {
            let at = later(since, *after);
            (Some(since), Some(exit(at, *code)))
        }
        Program::Vllm(arguments) => {
            let node = pod::node(pod).and_then(|node| scene.cluster.store.get(&kinds::NODE, "", node));
            let machine = node.map_or("", |node| traffic::instance_type(node));
            let limits = &specification["resources"]["limits"][GPU];
            let refuses = vllm::settings(arguments, machine).is_none();
            let fails = limits.is_null().then_some(1).or_else(|| refuses.then_some(2));
            if let Some(code) = fails {
                let at = later(since, scene.random.seconds(6.0, 8.0, 12.0));
                return (None, Some(exit(at, code)));
            }
            (Some(later(since, load(scene, pod, specification))), None)
        }
    }
}

/// How long vLLM takes from its start to its first answer: driver and API, weights, compilation, graphs.
fn load(scene: &mut Scene<'_>, pod: &Value, specification: &Value) -> Duration {
    let driver = scene.random.seconds(10.0, 15.0, 20.0);
    let kept = |mount: &Value| {
        let volumes = list(&pod["spec"]["volumes"]);
        let volume = volumes.iter().find(|volume| volume["name"] == mount["name"]);
        volume.is_some_and(|volume| volume["persistentVolumeClaim"].is_object())
    };
    // A compile cache on a volume that outlives the pod saves most of the compilation.
    let warm = list(&specification["volumeMounts"]).iter().any(kept);
    driver
        + if warm {
            scene.random.seconds(42.0, 51.0, 65.0)
        } else {
            scene.random.seconds(110.0, 130.0, 160.0)
        }
}

/// Whether a probe's address is one that the program answers once it serves.
fn answers(pod: &Value, specification: &Value, program: &Program, probe: &Value) -> bool {
    let action = if probe["httpGet"].is_object() {
        &probe["httpGet"]
    } else {
        &probe["tcpSocket"]
    };
    let port = match &action["port"] {
        Value::String(name) => name.parse().ok().or_else(|| {
            let own = list(&specification["ports"]).iter().find(|port| port["name"] == **name);
            own.and_then(|port| port["containerPort"].as_u64())
                .or_else(|| pod_port(pod, name))
        }),
        port => port.as_u64(),
    };
    if action.is_null() {
        return true;
    }
    match program {
        Program::Vllm(arguments) => {
            let path = probe["httpGet"]["path"].as_str();
            port == Some(u64::from(vllm::port(arguments))) && path.is_none_or(vllm::knows_path)
        }
        _ => port.is_some(),
    }
}

/// A probe's rhythm.
struct Probe {
    delay: Duration,
    period: Duration,
    failures: u32,
}

impl Probe {
    fn of(probe: &Value) -> Option<Self> {
        let seconds = |field: &str, default: u64| {
            let seconds = probe[field].as_u64().filter(|seconds| *seconds > 0);
            Duration::from_secs(seconds.unwrap_or(default))
        };
        let failures = probe["failureThreshold"]
            .as_u64()
            .filter(|count| *count > 0)
            .unwrap_or(3);
        probe.is_object().then(|| Self {
            delay: seconds("initialDelaySeconds", 0),
            period: seconds("periodSeconds", 10),
            failures: u32::try_from(failures).unwrap_or(u32::MAX),
        })
    }

    /// The first probe of a container that started at `since` and whose startup was over at `from`.
    fn first(&self, since: Timestamp, from: Timestamp) -> Timestamp {
        later(since, self.delay).max(from)
    }

    /// The first probe that finds the program serving.
    fn passes(&self, since: Timestamp, from: Timestamp, serves: Option<Timestamp>) -> Option<Timestamp> {
        let first = self.first(since, from);
        let wait = serves?.duration_since(first).as_secs_f64().max(0.0);
        let periods = (wait / self.period.as_secs_f64()).ceil();
        Some(later(first, self.period.mul_f64(periods)))
    }

    /// The probe with which its patience ends, if that is before the program serves.
    fn gives_up(&self, since: Timestamp, from: Timestamp, serves: Option<Timestamp>) -> Option<Timestamp> {
        let last = later(self.first(since, from), self.period * (self.failures - 1));
        serves.is_none_or(|serves| last < serves).then_some(last)
    }
}
