//! Tags of load balancers, listeners, rules and target groups.

use crate::aws::Refusal;
use crate::aws::Site;
use crate::aws::query::Form;
use crate::aws::query::Operation;
use crate::aws::query::Run;
use crate::aws::query::elb::load_balancers;
use crate::aws::query::elb::read_tags;
use crate::aws::query::elb::target_groups;
use crate::aws::query::operation;
use crate::aws::xml::Xml;

pub(super) const OPERATIONS: &[Operation<Run>] = &[
    operation("AddTags", "ResourceArns.member.#! @members", add),
    operation("RemoveTags", "ResourceArns.member.#! TagKeys.member.#", remove),
    operation("DescribeTags", "ResourceArns.member.#!", describe),
];

/// The ARNs that the call lists, all of which must be there.
fn targets<'a>(site: &mut Site<'_>, form: &Form<'a>) -> Result<Vec<&'a str>, Refusal> {
    let arns = form.texts("ResourceArns.member");
    match arns.iter().find(|arn| !site.elb().tags.contains_key(**arn)) {
        Some(arn) if arn.contains(":targetgroup/") => Err(target_groups::missing(arn)),
        Some(arn) => Err(load_balancers::missing(arn)),
        None => Ok(arns),
    }
}

fn add(site: &mut Site<'_>, form: &Form<'_>) -> Result<Xml, Refusal> {
    let added = read_tags(form)?;
    for arn in targets(site, form)? {
        site.elb().tags.entry(arn.to_owned()).or_default().extend(added.clone());
    }
    Ok(Xml::new())
}

fn remove(site: &mut Site<'_>, form: &Form<'_>) -> Result<Xml, Refusal> {
    let keys = form.texts("TagKeys.member");
    for arn in targets(site, form)? {
        if let Some(tags) = site.elb().tags.get_mut(arn) {
            tags.retain(|key, _| !keys.contains(&key.as_str()));
        }
    }
    Ok(Xml::new())
}

fn describe(site: &mut Site<'_>, form: &Form<'_>) -> Result<Xml, Refusal> {
    let arns = targets(site, form)?;
    let tags = &site.elb().tags;
    let mut xml = Xml::new();
    xml.list("TagDescriptions", "member", arns, |xml, arn| {
        xml.text("ResourceArn", arn)
            .list("Tags", "member", &tags[arn], |xml, (key, value)| {
                xml.text("Key", key).text("Value", value);
            });
    });
    Ok(xml)
}
