//! Listeners and their rules: on which port a load balancer listens, and what it does with what it hears.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::Serialize;

use crate::aws::Refusal;
use crate::aws::Site;
use crate::aws::Tags;
use crate::aws::query::Form;
use crate::aws::query::Operation;
use crate::aws::query::Run;
use crate::aws::query::elb::Elb;
use crate::aws::query::elb::list;
use crate::aws::query::elb::load_balancers;
use crate::aws::query::elb::read_tags;
use crate::aws::query::elb::target_groups;
use crate::aws::query::operation;
use crate::aws::xml::Xml;

/// What an action may say, below a name.
macro_rules! actions {
    ($name:literal) => {
        concat!(
            $name,
            ".member.#.Type! ",
            $name,
            ".member.#.Order ",
            $name,
            ".member.#.TargetGroupArn ",
            $name,
            ".member.#.ForwardConfig.TargetGroups.member.#.TargetGroupArn ",
            $name,
            ".member.#.ForwardConfig.TargetGroups.member.#.Weight ",
            $name,
            ".member.#.FixedResponseConfig.StatusCode ",
            $name,
            ".member.#.FixedResponseConfig.ContentType ",
            $name,
            ".member.#.FixedResponseConfig.MessageBody ",
            $name,
            ".member.#.RedirectConfig.Protocol ",
            $name,
            ".member.#.RedirectConfig.Port ",
            $name,
            ".member.#.RedirectConfig.Host ",
            $name,
            ".member.#.RedirectConfig.Path ",
            $name,
            ".member.#.RedirectConfig.Query ",
            $name,
            ".member.#.RedirectConfig.StatusCode"
        )
    };
}

pub(super) const OPERATIONS: &[Operation<Run>] = &[
    operation(
        "CreateListener",
        concat!("LoadBalancerArn! Protocol! Port! @members ", actions!("DefaultActions")),
        create_from,
    ),
    operation(
        "DescribeListeners",
        "LoadBalancerArn ListenerArns.member.# Marker PageSize",
        describe,
    ),
    operation("DeleteListener", "ListenerArn!", delete),
    operation(
        "CreateRule",
        concat!(
            "ListenerArn! Priority! @members Conditions.member.#.Field! Conditions.member.#.Values.member.# ",
            "Conditions.member.#.PathPatternConfig.Values.member.# Conditions.member.#.HostHeaderConfig.Values.member.# ",
            actions!("Actions")
        ),
        create_rule_from,
    ),
    operation(
        "DescribeRules",
        "ListenerArn RuleArns.member.# Marker PageSize",
        describe_rules,
    ),
    operation("DeleteRule", "RuleArn!", delete_rule),
];

/// One listener.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Listener {
    pub(crate) arn: String,
    /// The ARN of its load balancer.
    pub(crate) balancer: String,
    pub(crate) port: u16,
    protocol: String,
    pub(crate) actions: Vec<Action>,
}

/// One rule of a listener.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Rule {
    pub(crate) arn: String,
    /// The ARN of its listener.
    pub(crate) listener: String,
    pub(crate) priority: u32,
    pub(crate) conditions: Vec<Condition>,
    pub(crate) actions: Vec<Action>,
}

/// When a rule applies.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Condition {
    /// `path-pattern` or `host-header`.
    pub(crate) field: String,
    pub(crate) values: Vec<String>,
}

/// What is done with a request.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Action {
    /// `forward`, `fixed-response` or `redirect`.
    pub(crate) kind: String,
    /// To whom it is forwarded: ARNs of target groups with their weights.
    pub(crate) targets: Vec<(String, u32)>,
    /// The settings of a fixed response or a redirection.
    pub(crate) settings: BTreeMap<String, String>,
}

impl Action {
    /// Forwards everything to one target group.
    pub(crate) fn forward(group: &str) -> Self {
        Self {
            kind: "forward".to_owned(),
            targets: vec![(group.to_owned(), 1)],
            settings: BTreeMap::new(),
        }
    }

    /// Whether it forwards to a target group.
    pub(super) fn forwards_to(&self, group: &str) -> bool {
        self.targets.iter().any(|(arn, _)| arn == group)
    }

    fn read(form: &Form<'_>) -> Result<Self, Refusal> {
        let kind = form.required("Type")?;
        let (section, names): (&str, &[&str]) = match kind {
            "forward" => ("ForwardConfig", &[]),
            "fixed-response" => ("FixedResponseConfig", &["StatusCode", "ContentType", "MessageBody"]),
            "redirect" => (
                "RedirectConfig",
                &["Protocol", "Port", "Host", "Path", "Query", "StatusCode"],
            ),
            other => {
                let message = format!("The local world has no actions of type '{other}'");
                return Err(Refusal::new("InvalidLoadBalancerAction", message));
            }
        };
        let mut targets = Vec::new();
        for target in form.items("ForwardConfig.TargetGroups.member") {
            let weight = target.parsed("Weight")?.unwrap_or(1);
            targets.push((target.required("TargetGroupArn")?.to_owned(), weight));
        }
        if let Some(arn) = form.text("TargetGroupArn").filter(|_| targets.is_empty()) {
            targets.push((arn.to_owned(), 1));
        }
        if (kind == "forward") == targets.is_empty() {
            let message = format!("An action of type '{kind}' has the wrong settings");
            return Err(Refusal::new("ValidationError", message));
        }
        let setting = |name: &&str| Some(((*name).to_owned(), form.text(&format!("{section}.{name}"))?.to_owned()));
        Ok(Self {
            kind: kind.to_owned(),
            targets,
            settings: names.iter().filter_map(setting).collect(),
        })
    }

    fn write(&self, order: usize, xml: &mut Xml) {
        xml.text("Type", &self.kind);
        if let [(only, _)] = self.targets.as_slice() {
            xml.text("TargetGroupArn", only);
        }
        xml.text("Order", order);
        let settings = |xml: &mut Xml| {
            for (name, value) in &self.settings {
                xml.text(name, value);
            }
        };
        match self.kind.as_str() {
            "forward" => xml.element("ForwardConfig", |xml| {
                xml.list("TargetGroups", "member", &self.targets, |xml, (arn, weight)| {
                    xml.text("TargetGroupArn", arn).text("Weight", weight);
                })
                .element("TargetGroupStickinessConfig", |xml| {
                    xml.text("Enabled", false);
                });
            }),
            "redirect" => xml.element("RedirectConfig", settings),
            _ => xml.element("FixedResponseConfig", settings),
        };
    }
}

fn write_actions(name: &str, actions: &[Action], xml: &mut Xml) {
    xml.list(name, "member", (1..).zip(actions), |xml, (order, action)| {
        action.write(order, xml);
    });
}

/// Reads the actions below a name; each target group must be there.
fn read_actions(site: &mut Site<'_>, form: &Form<'_>, name: &str) -> Result<Vec<Action>, Refusal> {
    let actions = form
        .items(name)
        .iter()
        .map(Action::read)
        .collect::<Result<Vec<_>, _>>()?;
    let mut targets = actions.iter().flat_map(|action| &action.targets);
    match targets.find(|(arn, _)| !site.elb().target_groups.contains_key(arn)) {
        Some((arn, _)) => Err(target_groups::missing(arn)),
        None => Ok(actions),
    }
}

impl Listener {
    fn write(&self, xml: &mut Xml) {
        xml.text("ListenerArn", &self.arn)
            .text("LoadBalancerArn", &self.balancer)
            .text("Port", self.port)
            .text("Protocol", &self.protocol);
        write_actions("DefaultActions", &self.actions, xml);
    }
}

impl Rule {
    fn write(&self, xml: &mut Xml) {
        xml.text("RuleArn", &self.arn).text("Priority", self.priority).list(
            "Conditions",
            "member",
            &self.conditions,
            |xml, condition| condition.write(xml),
        );
        write_actions("Actions", &self.actions, xml);
        xml.text("IsDefault", false);
    }
}

impl Condition {
    fn section(&self) -> &'static str {
        if self.field == "host-header" {
            "HostHeaderConfig"
        } else {
            "PathPatternConfig"
        }
    }

    fn read(form: &Form<'_>) -> Result<Self, Refusal> {
        let field = form.required("Field")?;
        if !["path-pattern", "host-header"].contains(&field) {
            let message = format!("The local world has no conditions on '{field}'");
            return Err(Refusal::new("ValidationError", message));
        }
        let mut condition = Self {
            field: field.to_owned(),
            values: Vec::new(),
        };
        let values = form.texts(&format!("{}.Values.member", condition.section()));
        let values = if values.is_empty() {
            form.texts("Values.member")
        } else {
            values
        };
        condition.values = values.into_iter().map(str::to_owned).collect();
        Ok(condition)
    }

    fn write(&self, xml: &mut Xml) {
        xml.text("Field", &self.field)
            .texts("Values", "member", &self.values)
            .element(self.section(), |xml| {
                xml.texts("Values", "member", &self.values);
            });
    }
}

fn missing(arn: &str) -> Refusal {
    Refusal::new("ListenerNotFound", format!("One or more listeners not found: {arn}"))
}

fn missing_rule(arn: &str) -> Refusal {
    Refusal::new("RuleNotFound", format!("One or more rules not found: {arn}"))
}

/// Creates a listener, as a client or a controller does, and gives its ARN.
pub(crate) fn create(
    site: &mut Site<'_>,
    balancer: &str,
    protocol: &str,
    port: u16,
    actions: Vec<Action>,
    tags: Tags,
) -> Result<String, Refusal> {
    let digits = site.random.hex(16);
    let elb = site.elb();
    if !elb.load_balancers.contains_key(balancer) {
        return Err(load_balancers::missing(balancer));
    }
    let taken = |listener: &Listener| listener.balancer == balancer && listener.port == port;
    if elb.listeners.values().any(taken) {
        let message = format!("A listener already exists on port {port} for load balancer '{balancer}'");
        return Err(Refusal::new("DuplicateListener", message));
    }
    let arn = format!("{}/{digits}", balancer.replacen(":loadbalancer/", ":listener/", 1));
    let listener = Listener {
        arn: arn.clone(),
        balancer: balancer.to_owned(),
        port,
        protocol: protocol.to_owned(),
        actions,
    };
    elb.listeners.insert(arn.clone(), listener);
    elb.tags.insert(arn.clone(), tags);
    Ok(arn)
}

/// Deletes a listener with its rules.
pub(crate) fn remove(site: &mut Site<'_>, arn: &str) {
    let elb = site.elb();
    elb.listeners.remove(arn);
    elb.tags.remove(arn);
    let rules: Vec<String> = elb
        .rules
        .values()
        .filter(|rule| rule.listener == arn)
        .map(|rule| rule.arn.clone())
        .collect();
    for rule in rules {
        elb.rules.remove(&rule);
        elb.tags.remove(&rule);
    }
}

/// Adds a rule to a listener, as a client or a controller does, and gives its ARN.
pub(crate) fn create_rule(
    site: &mut Site<'_>,
    listener: &str,
    priority: u32,
    conditions: Vec<Condition>,
    actions: Vec<Action>,
    tags: Tags,
) -> Result<String, Refusal> {
    let digits = site.random.hex(16);
    let elb = site.elb();
    if !elb.listeners.contains_key(listener) {
        return Err(missing(listener));
    }
    let taken = |rule: &Rule| rule.listener == listener && rule.priority == priority;
    if elb.rules.values().any(taken) {
        return Err(Refusal::new(
            "PriorityInUse",
            format!("Priority '{priority}' is currently in use"),
        ));
    }
    let arn = format!("{}/{digits}", listener.replacen(":listener/", ":listener-rule/", 1));
    let rule = Rule {
        arn: arn.clone(),
        listener: listener.to_owned(),
        priority,
        conditions,
        actions,
    };
    elb.rules.insert(arn.clone(), rule);
    elb.tags.insert(arn.clone(), tags);
    Ok(arn)
}

fn create_from(site: &mut Site<'_>, form: &Form<'_>) -> Result<Xml, Refusal> {
    let protocol = form.required("Protocol")?;
    if !["HTTP", "TCP"].contains(&protocol) {
        let message = format!("The local world has no listeners for '{protocol}'");
        return Err(Refusal::new("UnsupportedProtocol", message));
    }
    let port = form.parsed("Port")?.unwrap_or(80);
    let tags = read_tags(form)?;
    let actions = read_actions(site, form, "DefaultActions.member")?;
    let arn = create(site, form.required("LoadBalancerArn")?, protocol, port, actions, tags)?;
    let mut xml = Xml::new();
    xml.list(
        "Listeners",
        "member",
        site.elb().listeners.get(&arn),
        |xml, listener| listener.write(xml),
    );
    Ok(xml)
}

fn describe(site: &mut Site<'_>, form: &Form<'_>) -> Result<Xml, Refusal> {
    let arns = form.texts("ListenerArns.member");
    let balancer = form.text("LoadBalancerArn");
    let elb: &Elb = site.elb();
    if arns.is_empty() && balancer.is_none() {
        return Err(Refusal::new(
            "ValidationError",
            "Either a load balancer or listeners must be specified",
        ));
    }
    if let Some(arn) = arns.iter().find(|arn| !elb.listeners.contains_key(**arn)) {
        return Err(missing(arn));
    }
    if let Some(arn) = balancer.filter(|arn| !elb.load_balancers.contains_key(*arn)) {
        return Err(load_balancers::missing(arn));
    }
    let wanted = |listener: &&Listener| {
        (arns.is_empty() || arns.contains(&listener.arn.as_str()))
            && balancer.is_none_or(|arn| listener.balancer == arn)
    };
    let listeners = elb.listeners.values().filter(wanted);
    list(
        form,
        "Listeners",
        listeners,
        |listener| listener.arn.clone(),
        |xml, listener| listener.write(xml),
    )
}

fn delete(site: &mut Site<'_>, form: &Form<'_>) -> Result<Xml, Refusal> {
    let arn = form.required("ListenerArn")?;
    if !site.elb().listeners.contains_key(arn) {
        return Err(missing(arn));
    }
    remove(site, arn);
    Ok(Xml::new())
}

fn create_rule_from(site: &mut Site<'_>, form: &Form<'_>) -> Result<Xml, Refusal> {
    let conditions = form
        .items("Conditions.member")
        .iter()
        .map(Condition::read)
        .collect::<Result<Vec<_>, _>>()?;
    let priority = form.parsed("Priority")?.unwrap_or(1);
    let tags = read_tags(form)?;
    let actions = read_actions(site, form, "Actions.member")?;
    let arn = create_rule(site, form.required("ListenerArn")?, priority, conditions, actions, tags)?;
    let mut xml = Xml::new();
    xml.list("Rules", "member", site.elb().rules.get(&arn), |xml, rule| {
        rule.write(xml);
    });
    Ok(xml)
}

fn describe_rules(site: &mut Site<'_>, form: &Form<'_>) -> Result<Xml, Refusal> {
    let arns = form.texts("RuleArns.member");
    let elb: &Elb = site.elb();
    if let Some(arn) = arns.iter().find(|arn| !elb.rules.contains_key(**arn)) {
        return Err(missing_rule(arn));
    }
    let Some(listener) = form.text("ListenerArn") else {
        let rules = elb.rules.values().filter(|rule| arns.contains(&rule.arn.as_str()));
        return list(
            form,
            "Rules",
            rules,
            |rule| rule.arn.clone(),
            |xml, rule| rule.write(xml),
        );
    };
    let found = elb.listeners.get(listener).ok_or_else(|| missing(listener))?;
    let mut rules: Vec<&Rule> = elb.rules.values().filter(|rule| rule.listener == listener).collect();
    rules.sort_by_key(|rule| rule.priority);
    let mut xml = Xml::new();
    xml.element("Rules", |xml| {
        for rule in rules {
            xml.element("member", |xml| rule.write(xml));
        }
        xml.element("member", |xml| {
            xml.text(
                "RuleArn",
                format!("{}/default", found.arn.replacen(":listener/", ":listener-rule/", 1)),
            )
            .text("Priority", "default")
            .element("Conditions", |_| ());
            write_actions("Actions", &found.actions, xml);
            xml.text("IsDefault", true);
        });
    });
    Ok(xml)
}

fn delete_rule(site: &mut Site<'_>, form: &Form<'_>) -> Result<Xml, Refusal> {
    let arn = form.required("RuleArn")?;
    let elb = site.elb();
    elb.rules.remove(arn).ok_or_else(|| missing_rule(arn))?;
    elb.tags.remove(arn);
    Ok(Xml::new())
}
