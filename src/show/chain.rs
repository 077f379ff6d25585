//! The chain from what model servers say of themselves to how many of them there are: whether each link of it holds.
//!
//! A collector scrapes pods, renames and filters what they say, and sends it to a scaler; KEDA asks the scaler for it and
//! the autoscaler acts on the answer. Each of them is told about its neighbours in a text of its own, and a wrong word in
//! one of these is silent: no sample arrives, and the number of replicas stays what it is. This reads the texts beside
//! each other. It changes nothing, and says nothing of what no text tells.

use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::Value;

use crate::error::closest;
use crate::provider::error::ProviderError;
use crate::provider::kube::Kube;
use crate::provider::kube::ObjectName;
use crate::show::collector;
use crate::show::collector::Collector;
use crate::show::collector::Pipeline;
use crate::show::figures;
use crate::stack::declare;
use crate::stack::demo::Demo;

/// A link that does not hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Break {
    /// Between whom.
    pub between: String,
    /// What is wrong.
    pub what: String,
    /// What mends it.
    pub next: String,
}

/// What the links are made of.
#[derive(Clone, Debug, Default)]
pub struct Links {
    /// What is scaled.
    pub deployment: Value,
    /// What says how.
    pub scaled_object: Value,
    /// What does it.
    pub autoscaler: Value,
    /// All config maps: the collectors' configurations are among them.
    pub config_maps: Vec<Value>,
    /// All services.
    pub services: Vec<Value>,
    /// What one of the pods says of itself, in Prometheus' format; empty while none does.
    pub page: String,
}

impl Links {
    /// Looks at what a show watches; none while that does not exist.
    pub async fn look(kube: &Kube, demo: &Demo) -> Result<Option<Self>, ProviderError> {
        let named = |api_version: &str, kind: &str, name: &declare::ObjectName| ObjectName {
            api_version: api_version.to_owned(),
            kind: kind.to_owned(),
            namespace: name.namespace.clone(),
            name: name.name.clone(),
        };
        let watch = &demo.watch;
        let namespace = &watch.deployment.namespace;
        let deployment = named("apps/v1", "Deployment", &watch.deployment);
        let scaled_object = named("keda.sh/v1alpha1", "ScaledObject", &watch.scaled_object);
        let (deployment, scaled_object) = futures::try_join!(kube.get(&deployment), kube.get(&scaled_object))?;
        let Some(deployment) = deployment else {
            return Ok(None);
        };
        let selector = figures::selector(&deployment["spec"]["selector"]["matchLabels"]);
        let (pods, config_maps, services, autoscalers) = futures::try_join!(
            kube.list_in(namespace, "v1", "Pod", &selector),
            kube.list("v1", "ConfigMap", ""),
            kube.list("v1", "Service", ""),
            kube.list_in(namespace, "autoscaling/v2", "HorizontalPodAutoscaler", ""),
        )?;
        let scales = |one: &Value| one["spec"]["scaleTargetRef"]["name"] == deployment["metadata"]["name"];
        let ready = pods.iter().find(|pod| figures::is_alive(pod) && figures::is_ready(pod));
        let page = match ready.and_then(|pod| pod["metadata"]["name"].as_str()) {
            // A server that does not answer has its own line in the status.
            Some(pod) => kube.ask_pod(namespace, pod, "/metrics").await.unwrap_or_default(),
            None => String::new(),
        };
        Ok(Some(Self {
            autoscaler: autoscalers.into_iter().find(scales).unwrap_or_default(),
            scaled_object: scaled_object.unwrap_or_default(),
            deployment,
            config_maps,
            services,
            page,
        }))
    }

    /// The links that do not hold, in the order in which a sample goes through them.
    pub fn breaks(&self) -> Vec<Break> {
        if self.scaled_object.is_null() {
            let what = format!("nothing scales {}", name(&self.deployment));
            return vec![broken(
                "KEDA and the Deployment",
                what,
                "`tubectl up` makes the ScaledObject",
            )];
        }
        let mut breaks: Vec<Break> = self.service().into_iter().collect();
        breaks.extend(self.samples());
        breaks.extend(self.questions());
        // What controllers say follows from the links above, and is only worth a word when these say nothing.
        if breaks.is_empty() {
            breaks.extend(refused(&self.scaled_object, "Ready", "KEDA and the ScaledObject"));
        }
        if breaks.is_empty() {
            breaks.extend(refused(&self.autoscaler, "ScalingActive", "the autoscaler and KEDA"));
        }
        breaks
    }

    /// The Service through which requests come: without it there is nothing to scale on.
    fn service(&self) -> Option<Break> {
        let service = self.services.iter().find(|service| {
            let same = |field: &str| service["metadata"][field] == self.deployment["metadata"][field];
            same("namespace") && same("name")
        })?;
        let labels = &self.deployment["spec"]["template"]["metadata"]["labels"];
        let mut wrong = service["spec"]["selector"].as_object()?.iter();
        let (label, value) = wrong.find(|(label, value)| labels[label.as_str()] != **value)?;
        let (is, should) = (told(value), told(&labels[label]));
        Some(broken(
            "requests and vLLM",
            format!(
                "Service {} selects pods with {label}={is}, and those of the Deployment have {label}={should}, so no \
                 request arrives",
                name(service)
            ),
            &format!("let the Service select {label}={should}, then `tubectl up`"),
        ))
    }

    /// From the pods through the collectors to the scaler that KEDA asks.
    fn samples(&self) -> Option<Break> {
        let address = self
            .triggers()
            .find_map(|trigger| trigger["metadata"]["scalerAddress"].as_str())?;
        let scaler = match self.served(address, "keda") {
            Ok(service) => service,
            Err(what) => {
                let next = "give the trigger's scalerAddress the scaler's Service and port, then `tubectl up`";
                return Some(broken(
                    "KEDA and the scaler",
                    format!("the ScaledObject asks {address}: {what}"),
                    next,
                ));
            }
        };
        let collectors: Vec<Collector> = self.config_maps.iter().filter_map(Collector::of).collect();
        let sends = |collector: &&Collector| {
            let mut pipelines = collector.pipelines.iter();
            pipelines.any(|pipeline| address_of(&pipeline.endpoint, &collector.namespace).0 == name(scaler))
        };
        let Some(collector) = collectors.iter().find(sends) else {
            let what = format!("no collector sends to {}, which KEDA asks", name(scaler));
            let next = "let the collector's OTLP exporter send there, then `tubectl up`";
            return Some(broken("the collector and the scaler", what, next));
        };
        self.scraped(collector).or_else(|| self.sent(collector))
    }

    /// Between the pods and a collector.
    fn scraped(&self, collector: &Collector) -> Option<Break> {
        let between = format!("{} and vLLM", collector.name());
        let namespace = &self.deployment["metadata"]["namespace"];
        let template = &self.deployment["spec"]["template"];
        let labels = &template["metadata"]["labels"];
        let deployment = name(&self.deployment);
        let misses = |job: &collector::Job| {
            let elsewhere = !job.namespaces.is_empty() && job.namespaces.iter().all(|one| namespace != one.as_str());
            if elsewhere {
                let places = job.namespaces.join(", ");
                return Some((
                    format!("in namespace {places}"),
                    format!("in namespace {}", told(namespace)),
                ));
            }
            let all = || figures::selector(labels);
            let label_of = |keep: &collector::Keep| {
                let pairs = labels.as_object().into_iter().flatten();
                let mut pairs = pairs.filter(|(label, _)| collector::discovered_as(label) == keep.label);
                pairs.next().map(|(label, value)| (label.clone(), told(value)))
            };
            job.keeps.iter().find_map(|keep| match label_of(keep) {
                Some((_, value)) if keep.admits(&value) => None,
                Some((label, value)) => Some((
                    format!("labelled {label}={}", keep.pattern),
                    format!("labelled {label}={value}"),
                )),
                None => Some((
                    format!("labelled {}={}", keep.label, keep.pattern),
                    format!("labelled {}", all()),
                )),
            })
        };
        let missed: Vec<_> = collector.jobs.iter().map(misses).collect();
        if let Some(Some((is, should))) = missed.first().filter(|_| missed.iter().all(Option::is_some)) {
            let what = format!("it scrapes pods {is}; those of {deployment} are {should}, so no sample arrives");
            let next = format!(
                "let release `{}` scrape pods {should}, then `tubectl up`",
                collector.release
            );
            return Some(broken(&between, what, &next));
        }
        let finds = collector.jobs.iter().zip(missed).filter(|(_, missed)| missed.is_none());
        let ports: BTreeSet<String> = finds.filter_map(|(job, _)| job.port.clone()).collect();
        let containers = template["spec"]["containers"].as_array().into_iter().flatten();
        let open = containers.flat_map(|container| container["ports"].as_array().into_iter().flatten());
        let open: BTreeSet<String> = open.map(|port| told(&port["containerPort"])).collect();
        if ports.is_empty() || open.is_empty() || !ports.is_disjoint(&open) {
            return None;
        }
        let joined = |ports: &BTreeSet<String>| ports.iter().cloned().collect::<Vec<_>>().join(", ");
        let (is, should) = (joined(&ports), joined(&open));
        let what = format!("it scrapes port {is}; pods of {deployment} listen on {should}, so no sample arrives");
        let next = format!(
            "let release `{}` scrape port {should}, then `tubectl up`",
            collector.release
        );
        Some(broken(&between, what, &next))
    }

    /// Between a collector and the scaler.
    fn sent(&self, collector: &Collector) -> Option<Break> {
        let asked: BTreeSet<String> = self
            .triggers()
            .filter_map(|trigger| trigger["metadata"]["scalerAddress"].as_str())
            .map(|address| address_of(address, "keda").1)
            .collect();
        let wrong = |pipeline: &Pipeline| {
            let (_, port) = address_of(&pipeline.endpoint, &collector.namespace);
            match self.served(&pipeline.endpoint, &collector.namespace) {
                Err(what) => Some((pipeline.endpoint.clone(), what)),
                Ok(_) if asked.contains(&port) => Some((
                    pipeline.endpoint.clone(),
                    format!("at port {port} the scaler talks to KEDA"),
                )),
                Ok(_) => None,
            }
        };
        let unheard: Vec<_> = collector.pipelines.iter().map(wrong).collect();
        let Some(Some((endpoint, what))) = unheard.first().filter(|_| unheard.iter().all(Option::is_some)) else {
            return None;
        };
        Some(broken(
            &format!("{} and the scaler", collector.name()),
            format!("it sends to {endpoint}: {what}, so no sample arrives"),
            &format!(
                "let release `{}` send to the scaler's OTLP port, then `tubectl up`",
                collector.release
            ),
        ))
    }

    /// Between what arrives at the scaler and what the `ScaledObject` asks it for.
    fn questions(&self) -> Vec<Break> {
        let collectors: Vec<Collector> = self.config_maps.iter().filter_map(Collector::of).collect();
        let said = figures::names(&self.page);
        let pipelines = || collectors.iter().flat_map(|collector| &collector.pipelines);
        let arrives: BTreeSet<String> = pipelines()
            .flat_map(|one| said.iter().filter_map(move |name| one.admit(name)))
            .collect();
        if said.is_empty() || pipelines().next().is_none() {
            return Vec::new();
        }
        let mut breaks = Vec::new();
        for trigger in self.triggers() {
            let Some(query) = trigger["metadata"]["metricQuery"].as_str() else {
                continue;
            };
            let asked = metric(query);
            if arrives.contains(asked) {
                continue;
            }
            let renamed: BTreeSet<String> = pipelines()
                .flat_map(|one| said.iter().map(move |name| one.rename(name)))
                .collect();
            let trigger = told(&trigger["name"]);
            let what = format!("trigger `{trigger}` asks for {asked}, and no sample of that name arrives");
            let next = match closest(asked, arrives.iter().map(String::as_str)) {
                _ if renamed.contains(asked) => format!("let the collector's filter pass {asked}, then `tubectl up`"),
                Some(near) => format!("did you mean {near}? Put it into the trigger's query, then `tubectl up`"),
                None => {
                    let arrives: Vec<&str> = arrives.iter().map(String::as_str).collect();
                    format!(
                        "what arrives is {}; ask for one of these, then `tubectl up`",
                        arrives.join(", ")
                    )
                }
            };
            breaks.push(broken("the scaler and the ScaledObject", what, &next));
        }
        breaks
    }

    fn triggers(&self) -> impl Iterator<Item = &Value> {
        let triggers = self.scaled_object["spec"]["triggers"].as_array();
        triggers.into_iter().flatten()
    }

    /// The Service at an address, if it has that port.
    fn served(&self, address: &str, namespace: &str) -> Result<&Value, String> {
        let (wanted, port) = address_of(address, namespace);
        let Some(service) = self.services.iter().find(|service| name(service) == wanted) else {
            return Err(format!("there is no Service {wanted}"));
        };
        let ports = service["spec"]["ports"].as_array().into_iter().flatten();
        let ports: Vec<String> = ports.map(|one| told(&one["port"])).collect();
        if ports.contains(&port) {
            Ok(service)
        } else {
            Err(format!("Service {wanted} has no port {port}, but {}", ports.join(", ")))
        }
    }
}

/// What a controller says, where a condition that should hold does not.
fn refused(object: &Value, condition: &str, between: &str) -> Option<Break> {
    let conditions = object["status"]["conditions"].as_array()?;
    let found = conditions
        .iter()
        .find(|one| one["type"] == condition && one["status"] == "False")?;
    let what = format!(
        "{} says {}: {}",
        name(object),
        told(&found["reason"]),
        told(&found["message"])
    );
    Some(broken(between, what, "mend what it names, then `tubectl up`"))
}

/// The Service and the port that an address means to whoever lives in a namespace.
fn address_of(address: &str, namespace: &str) -> (String, String) {
    let address = address.rsplit("//").next().unwrap_or(address);
    let (host, port) = address.rsplit_once(':').unwrap_or((address, ""));
    let mut parts = host.split('.');
    let service = parts.next().unwrap_or_default();
    (
        format!("{}/{service}", parts.next().unwrap_or(namespace)),
        port.to_owned(),
    )
}

/// The metric that a query is of: `sum(name{label=value})`.
fn metric(query: &str) -> &str {
    let inside = query.split_once('(').map_or(query, |(_, inside)| inside);
    inside.split(['{', ')']).next().unwrap_or(inside).trim()
}

fn broken(between: &str, what: String, next: &str) -> Break {
    Break {
        between: between.to_owned(),
        what,
        next: next.to_owned(),
    }
}

fn name(object: &Value) -> String {
    format!(
        "{}/{}",
        told(&object["metadata"]["namespace"]),
        told(&object["metadata"]["name"])
    )
}

fn told(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const CONFIGURATION: &str = "
receivers:
  prometheus:
    config:
      scrape_configs:
        - job_name: vllm
          kubernetes_sd_configs: [{role: pod, namespaces: {names: [default]}}]
          relabel_configs:
            - {source_labels: [__meta_kubernetes_pod_label_app], regex: vllm, action: keep}
            - {source_labels: [__meta_kubernetes_pod_ip], replacement: $$1:8000, target_label: __address__}
processors:
  metricstransform/names:
    transforms: [{include: '^vllm:(.*)$$', match_type: regexp, action: update, new_name: 'vllm_$${1}'}]
  filter/scaler:
    metrics: {include: {match_type: strict, metric_names: [vllm_num_requests_running, vllm_num_requests_waiting]}}
exporters:
  otlp/scaler: {endpoint: 'keda-otel-scaler.keda.svc:4317'}
service:
  pipelines:
    metrics/scaler:
      receivers: [prometheus]
      processors: [metricstransform/names, filter/scaler]
      exporters: [otlp/scaler]
";

    fn links(configuration: &str, query: &str, scaler: &str) -> Links {
        let collector = json!({
            "metadata": {
                "namespace": "keda", "name": "collector",
                "annotations": {"meta.helm.sh/release-name": "collector"},
            },
            "data": {"config.yaml": configuration},
        });
        let trigger = json!({"name": "waiting", "metadata": {"scalerAddress": scaler, "metricQuery": query}});
        let service = json!({
            "metadata": {"namespace": "keda", "name": "keda-otel-scaler"},
            "spec": {"ports": [{"port": 4317}, {"port": 4318}]},
        });
        let template = json!({
            "metadata": {"labels": {"app": "vllm"}},
            "spec": {"containers": [{"ports": [{"containerPort": 8000}]}]},
        });
        Links {
            deployment: json!({"metadata": {"namespace": "default", "name": "vllm"}, "spec": {"template": template}}),
            scaled_object: json!({"metadata": {"name": "queue"}, "spec": {"triggers": [trigger]}}),
            config_maps: vec![json!({"data": {"a": "b"}}), collector],
            services: vec![service],
            page: "# TYPE vllm:num_requests_waiting gauge\nvllm:num_requests_waiting{engine=\"0\"} 3.0\n\
                   vllm:num_requests_running 1\nvllm:prompt_tokens_total 7\n"
                .to_owned(),
            ..Links::default()
        }
    }

    fn check(links: &Links, expected: &[&str]) {
        let told: Vec<String> = links
            .breaks()
            .into_iter()
            .map(|one| format!("{}: {}; {}", one.between, one.what, one.next))
            .collect();
        assert_eq!(told, expected);
    }

    const QUERY: &str = "sum(vllm_num_requests_waiting)";
    const SCALER: &str = "keda-otel-scaler.keda.svc:4318";

    #[test]
    fn a_chain_without_a_wrong_word_holds() {
        check(&links(CONFIGURATION, QUERY, SCALER), &[]);
        check(&links(CONFIGURATION, "vllm_num_requests_running{a=b}", SCALER), &[]);
    }

    #[test]
    fn one_wrong_word_in_the_collector_is_found_and_its_next_step_is_told() {
        let with = |from: &str, to: &str| links(&CONFIGURATION.replace(from, to), QUERY, SCALER);
        check(
            &with(":8000", ":8001"),
            &[
                "collector keda/collector and vLLM: it scrapes port 8001; pods of default/vllm listen on 8000, so no \
               sample arrives; let release `collector` scrape port 8000, then `tubectl up`",
            ],
        );
        check(
            &with("regex: vllm", "regex: vlm"),
            &[
                "collector keda/collector and vLLM: it scrapes pods labelled app=vlm; those of default/vllm are labelled \
               app=vllm, so no sample arrives; let release `collector` scrape pods labelled app=vllm, then `tubectl up`",
            ],
        );
        check(
            &with("names: [default]", "names: [prod]"),
            &[
                "collector keda/collector and vLLM: it scrapes pods in namespace prod; those of default/vllm are in \
               namespace default, so no sample arrives; let release `collector` scrape pods in namespace default, then \
               `tubectl up`",
            ],
        );
        check(
            &with("svc:4317", "svc:4318"),
            &[
                "collector keda/collector and the scaler: it sends to keda-otel-scaler.keda.svc:4318: at port 4318 the \
               scaler talks to KEDA, so no sample arrives; let release `collector` send to the scaler's OTLP port, then \
               `tubectl up`",
            ],
        );
        check(
            &with("keda-otel-scaler.keda", "otel.keda"),
            &[
                "the collector and the scaler: no collector sends to keda/keda-otel-scaler, which KEDA asks; let the \
               collector's OTLP exporter send there, then `tubectl up`",
            ],
        );
    }

    #[test]
    fn a_metric_that_nobody_sends_is_named_with_the_one_that_was_meant() {
        check(
            &links(CONFIGURATION, "sum(vllm_num_requests_wating)", SCALER),
            &[
                "the scaler and the ScaledObject: trigger `waiting` asks for vllm_num_requests_wating, and no sample of \
               that name arrives; did you mean vllm_num_requests_waiting? Put it into the trigger's query, then \
               `tubectl up`",
            ],
        );
        check(
            &links(CONFIGURATION, "vllm_prompt_tokens_total", SCALER),
            &[
                "the scaler and the ScaledObject: trigger `waiting` asks for vllm_prompt_tokens_total, and no sample of \
               that name arrives; let the collector's filter pass vllm_prompt_tokens_total, then `tubectl up`",
            ],
        );
    }

    #[test]
    fn a_scaler_that_is_not_there_is_named() {
        check(
            &links(CONFIGURATION, QUERY, "keda-otel-scaler.keda.svc:4523"),
            &[
                "KEDA and the scaler: the ScaledObject asks keda-otel-scaler.keda.svc:4523: Service \
               keda/keda-otel-scaler has no port 4523, but 4317, 4318; give the trigger's scalerAddress the scaler's \
               Service and port, then `tubectl up`",
            ],
        );
    }

    #[test]
    fn a_service_that_selects_nobody_and_a_controller_that_refuses_are_told() {
        let mut links = links(CONFIGURATION, QUERY, SCALER);
        let failed = json!({"type": "Ready", "status": "False", "reason": "Check", "message": "no formula"});
        links.scaled_object["status"] = json!({"conditions": [failed]});
        check(
            &links,
            &["KEDA and the ScaledObject: /queue says Check: no formula; mend what it names, then `tubectl up`"],
        );
        links.services.push(json!({
            "metadata": {"namespace": "default", "name": "vllm"}, "spec": {"selector": {"app": "vlm"}},
        }));
        check(
            &links,
            &[
                "requests and vLLM: Service default/vllm selects pods with app=vlm, and those of the Deployment have \
               app=vllm, so no request arrives; let the Service select app=vllm, then `tubectl up`",
            ],
        );
    }
}
