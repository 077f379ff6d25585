//! The rules of security groups: who may talk to whom.

use serde::Deserialize;
use serde::Serialize;

use crate::aws::Refusal;
use crate::aws::Site;
use crate::aws::ec2::cidr::Cidr;
use crate::aws::ec2::resource::Filters;
use crate::aws::ec2::resource::View;
use crate::aws::ec2::resource::answer_page;
use crate::aws::ec2::resource::tags_at_creation;
use crate::aws::ec2::security_groups::SecurityGroup;
use crate::aws::query::Form;
use crate::aws::query::Operation;
use crate::aws::query::Run;
use crate::aws::query::operation;
use crate::aws::xml::Xml;

/// What permissions are given as.
macro_rules! permissions {
    ($more:literal) => {
        concat!(
            "GroupId! IpPermissions.#.IpProtocol IpPermissions.#.FromPort IpPermissions.#.ToPort ",
            "IpPermissions.#.IpRanges.#.CidrIp IpPermissions.#.IpRanges.#.Description ",
            "IpPermissions.#.Ipv6Ranges.#.CidrIpv6 IpPermissions.#.Ipv6Ranges.#.Description ",
            "IpPermissions.#.Groups.#.GroupId IpPermissions.#.Groups.#.UserId IpPermissions.#.Groups.#.Description ",
            $more
        )
    };
}

pub(super) const OPERATIONS: &[Operation<Run>] = &[
    operation("AuthorizeSecurityGroupIngress", permissions!("@tags"), |site, form| {
        authorize(site, form, false)
    }),
    operation("AuthorizeSecurityGroupEgress", permissions!("@tags"), |site, form| {
        authorize(site, form, true)
    }),
    operation(
        "RevokeSecurityGroupIngress",
        permissions!("SecurityGroupRuleId.#"),
        |site, form| revoke(site, form, false),
    ),
    operation(
        "RevokeSecurityGroupEgress",
        permissions!("SecurityGroupRuleId.#"),
        |site, form| revoke(site, form, true),
    ),
    operation(
        "DescribeSecurityGroupRules",
        "SecurityGroupRuleId.# @filters @pages",
        describe_rules,
    ),
];

/// One rule.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Rule {
    pub(crate) egress: bool,
    protocol: String,
    from: i32,
    to: i32,
    pub(crate) peer: Peer,
    description: Option<String>,
}

/// The other side of a rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Peer {
    /// Addresses.
    Cidr(String),
    /// IPv6 addresses.
    Cidr6(String),
    /// The members of a group.
    Group(String),
}

impl Peer {
    /// The group that it names.
    pub(crate) fn group(&self) -> Option<&str> {
        match self {
            Self::Group(id) => Some(id),
            Self::Cidr(_) | Self::Cidr6(_) => None,
        }
    }

    fn text(&self) -> &str {
        match self {
            Self::Cidr(text) | Self::Cidr6(text) | Self::Group(text) => text,
        }
    }
}

impl Rule {
    /// A rule for all protocols and ports.
    pub(crate) fn everything(egress: bool, peer: Peer) -> Self {
        Self {
            egress,
            protocol: "-1".to_owned(),
            from: -1,
            to: -1,
            peer,
            description: None,
        }
    }

    /// A rule for TCP ports coming in.
    pub(crate) fn tcp(from: u16, to: u16, peer: Peer, description: &str) -> Self {
        Self {
            egress: false,
            protocol: "tcp".to_owned(),
            from: from.into(),
            to: to.into(),
            peer,
            description: Some(description.to_owned()),
        }
    }

    fn same(&self, other: &Self) -> bool {
        (self.egress, &self.protocol, self.from, self.to, &self.peer)
            == (other.egress, &other.protocol, other.from, other.to, &other.peer)
    }

    fn write(&self, id: &str, group: &str, view: &View<'_>, xml: &mut Xml) {
        xml.text("securityGroupRuleId", id)
            .text("groupId", group)
            .text("groupOwnerId", view.account)
            .text("isEgress", self.egress)
            .text("ipProtocol", &self.protocol)
            .text("fromPort", self.from)
            .text("toPort", self.to);
        match &self.peer {
            Peer::Cidr(cidr) => xml.text("cidrIpv4", cidr),
            Peer::Cidr6(cidr) => xml.text("cidrIpv6", cidr),
            Peer::Group(peer) => xml.element("referencedGroupInfo", |xml| {
                xml.text("groupId", peer).text("userId", view.account);
            }),
        };
        xml.maybe("description", self.description.as_ref())
            .text("securityGroupRuleArn", view.arn(&format!("security-group-rule/{id}")));
        view.tags(id, xml);
    }
}

/// Adds a rule to a group; the same rule twice is one.
pub(crate) fn allow(site: &mut Site<'_>, group: &str, rule: Rule) -> Option<String> {
    let id = site.new_id("sgr");
    let rules = &mut site.ec2().security_groups.get_mut(group)?.rules;
    if rules.values().any(|known| known.same(&rule)) {
        return None;
    }
    rules.insert(id.clone(), rule);
    Some(id)
}

/// Writes rules as permissions: one for each protocol and ports, with all its peers.
pub(super) fn write_permissions(name: &str, rules: &[&Rule], view: &View<'_>, xml: &mut Xml) {
    let mut kinds: Vec<(&str, i32, i32)> = rules.iter().map(|rule| (&*rule.protocol, rule.from, rule.to)).collect();
    kinds.sort_unstable();
    kinds.dedup();
    xml.list(name, "item", kinds, |xml, (protocol, from, to)| {
        xml.text("ipProtocol", protocol);
        if protocol != "-1" {
            xml.text("fromPort", from).text("toPort", to);
        }
        let of_kind = || {
            rules
                .iter()
                .filter(move |rule| (&*rule.protocol, rule.from, rule.to) == (protocol, from, to))
        };
        let peers = |fits: fn(&Peer) -> bool| of_kind().filter(move |rule| fits(&rule.peer));
        xml.list(
            "groups",
            "item",
            peers(|peer| matches!(peer, Peer::Group(_))),
            |xml, rule| {
                xml.text("userId", view.account)
                    .text("groupId", rule.peer.text())
                    .maybe("description", rule.description.as_ref());
            },
        );
        xml.list(
            "ipRanges",
            "item",
            peers(|peer| matches!(peer, Peer::Cidr(_))),
            |xml, rule| {
                xml.text("cidrIp", rule.peer.text())
                    .maybe("description", rule.description.as_ref());
            },
        );
        xml.list(
            "ipv6Ranges",
            "item",
            peers(|peer| matches!(peer, Peer::Cidr6(_))),
            |xml, rule| {
                xml.text("cidrIpv6", rule.peer.text())
                    .maybe("description", rule.description.as_ref());
            },
        );
        xml.list("prefixListIds", "item", [""; 0], |_, _| ());
    });
}

/// The rules that a call's permissions stand for.
fn read_permissions(site: &mut Site<'_>, form: &Form<'_>, egress: bool) -> Result<Vec<Rule>, Refusal> {
    let mut rules = Vec::new();
    for permission in form.items("IpPermissions") {
        let protocol = protocol(permission.required("IpProtocol")?)?;
        let ports = |name: &str| permission.parsed::<i32>(name).map(|port| port.unwrap_or(-1));
        let (from, to) = if protocol == "-1" {
            (-1, -1)
        } else {
            (ports("FromPort")?, ports("ToPort")?)
        };
        if matches!(&*protocol, "tcp" | "udp") && !((0..=65535).contains(&from) && (from..=65535).contains(&to)) {
            let message = format!("Invalid TCP/UDP port range ({from}:{to})");
            return Err(Refusal::new("InvalidParameterValue", message));
        }
        let mut add = |peer: Peer, item: &Form<'_>| {
            rules.push(Rule {
                egress,
                protocol: protocol.clone(),
                from,
                to,
                peer,
                description: item.text("Description").map(str::to_owned),
            });
        };
        for range in permission.items("IpRanges") {
            let text = range.required("CidrIp")?;
            let cidr: Cidr = text
                .parse()
                .map_err(|_| Refusal::new("InvalidParameterValue", format!("CIDR block {text} is malformed")))?;
            add(Peer::Cidr(cidr.to_string()), &range);
        }
        for range in permission.items("Ipv6Ranges") {
            add(Peer::Cidr6(range.required("CidrIpv6")?.to_owned()), &range);
        }
        for group in permission.items("Groups") {
            let id = group.required("GroupId")?;
            site.find::<SecurityGroup>(id)?;
            add(Peer::Group(id.to_owned()), &group);
        }
    }
    Ok(rules)
}

/// A protocol's name, as EC2 shows it.
fn protocol(text: &str) -> Result<String, Refusal> {
    Ok(match text {
        "-1" | "all" => "-1",
        "tcp" | "6" => "tcp",
        "udp" | "17" => "udp",
        "icmp" | "1" => "icmp",
        "icmpv6" | "58" => "icmpv6",
        other => {
            let message = format!("Invalid value '{other}' for IP protocol. Unknown protocol.");
            return Err(Refusal::new("InvalidParameterValue", message));
        }
    }
    .to_owned())
}

fn authorize(site: &mut Site<'_>, form: &Form<'_>, egress: bool) -> Result<Xml, Refusal> {
    let id = form.required("GroupId")?;
    site.find::<SecurityGroup>(id)?;
    let tags = tags_at_creation(form, "security-group-rule")?;
    let rules = read_permissions(site, form, egress)?;
    if rules.is_empty() {
        let message = "The request must contain the parameter ipPermissions";
        return Err(Refusal::new("MissingParameter", message));
    }
    let group = site.find::<SecurityGroup>(id)?;
    if let Some(known) = rules
        .iter()
        .find(|rule| group.rules.values().any(|known| known.same(rule)))
    {
        let message = format!(
            "the specified rule \"peer: {}, {}, from port: {}, to port: {}, ALLOW\" already exists",
            known.peer.text(),
            known.protocol.to_uppercase(),
            known.from,
            known.to
        );
        return Err(Refusal::new("InvalidPermission.Duplicate", message));
    }
    let added: Vec<String> = rules.into_iter().filter_map(|rule| allow(site, id, rule)).collect();
    if !tags.is_empty() {
        for rule in &added {
            site.ec2().tags.insert(rule.clone(), tags.clone());
        }
    }
    let view = site.view();
    let rules = &view.ec2.security_groups[id].rules;
    let mut xml = Xml::new();
    xml.text("return", true)
        .list("securityGroupRuleSet", "item", &added, |xml, rule| {
            rules[rule].write(rule, id, &view, xml);
        });
    Ok(xml)
}

fn revoke(site: &mut Site<'_>, form: &Form<'_>, egress: bool) -> Result<Xml, Refusal> {
    let id = form.required("GroupId")?;
    site.find::<SecurityGroup>(id)?;
    let wanted = read_permissions(site, form, egress)?;
    let mut gone: Vec<String> = form
        .texts("SecurityGroupRuleId")
        .into_iter()
        .map(str::to_owned)
        .collect();
    let group = site.find::<SecurityGroup>(id)?;
    if let Some(rule) = gone
        .iter()
        .find(|rule| group.rules.get(*rule).is_none_or(|rule| rule.egress != egress))
    {
        let message = format!("The security group rule ID '{rule}' does not exist");
        return Err(Refusal::new("InvalidSecurityGroupRuleId.NotFound", message));
    }
    for rule in &wanted {
        let known = group.rules.iter().find(|(_, known)| known.same(rule)).ok_or_else(|| {
            let message = "The specified rule does not exist in this security group.";
            Refusal::new("InvalidPermission.NotFound", message)
        })?;
        gone.push(known.0.clone());
    }
    if gone.is_empty() {
        let message = "The request must contain the parameter ipPermissions or securityGroupRuleIds";
        return Err(Refusal::new("MissingParameter", message));
    }
    let mut xml = Xml::new();
    xml.text("return", true);
    let revoked: Vec<(String, Rule)> = gone
        .into_iter()
        .filter_map(|rule| group.rules.remove_entry(&rule))
        .collect();
    xml.list("revokedSecurityGroupRuleSet", "item", &revoked, |xml, (rule, was)| {
        xml.text("securityGroupRuleId", rule)
            .text("groupId", id)
            .text("isEgress", was.egress)
            .text("ipProtocol", &was.protocol)
            .text("fromPort", was.from)
            .text("toPort", was.to);
        match &was.peer {
            Peer::Cidr(cidr) => xml.text("cidrIpv4", cidr),
            Peer::Cidr6(cidr) => xml.text("cidrIpv6", cidr),
            Peer::Group(peer) => xml.text("referencedGroupId", peer),
        };
    });
    for (rule, _) in revoked {
        site.ec2().forget(&rule);
    }
    Ok(xml)
}

fn describe_rules(site: &mut Site<'_>, form: &Form<'_>) -> Result<Xml, Refusal> {
    let filters = Filters::read(form, &["group-id", "security-group-rule-id"])?;
    let wanted = form.texts("SecurityGroupRuleId");
    let now = site.now;
    let view = site.view();
    let groups = view
        .ec2
        .security_groups
        .values()
        .filter(|group| view.ec2.shows(&group.id, now));
    let all: Vec<(&str, &String, &Rule)> = groups
        .flat_map(|group| group.rules.iter().map(|(id, rule)| (group.id.as_str(), id, rule)))
        .collect();
    if let Some(id) = wanted.iter().find(|id| !all.iter().any(|(_, rule, _)| rule == *id)) {
        let message = format!("The security group rule ID '{id}' does not exist");
        return Err(Refusal::new("InvalidSecurityGroupRuleId.NotFound", message));
    }
    let facet = |group: &str, id: &str, name: &str| vec![if name == "group-id" { group } else { id }.to_owned()];
    let found = all
        .into_iter()
        .filter(|(_, id, _)| wanted.is_empty() || wanted.contains(&id.as_str()))
        .filter(|(group, id, _)| filters.fit(view.ec2.tags(id), |name| facet(group, id, name)))
        .collect();
    answer_page(
        form,
        "securityGroupRuleSet",
        found,
        |(_, id, _)| (*id).clone(),
        |xml, (group, id, rule)| {
            rule.write(id, group, &view, xml);
        },
    )
}
