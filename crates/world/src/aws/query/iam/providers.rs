//! Identity providers: whose tokens the account trusts.

use jiff::Timestamp;
use serde::Deserialize;
use serde::Serialize;

use crate::aws::Refusal;
use crate::aws::Site;
use crate::aws::Tags;
use crate::aws::iso;
use crate::aws::query::Form;
use crate::aws::query::Operation;
use crate::aws::query::Run;
use crate::aws::query::iam::add_tags;
use crate::aws::query::iam::exists;
use crate::aws::query::iam::list_tags;
use crate::aws::query::iam::no_such_entity;
use crate::aws::query::iam::read_tags;
use crate::aws::query::iam::write_tags;
use crate::aws::query::operation;
use crate::aws::xml::Xml;

pub(super) const OPERATIONS: &[Operation<Run>] = &[
    operation(
        "CreateOpenIDConnectProvider",
        "Url! ClientIDList.member.# ThumbprintList.member.# @members",
        create,
    ),
    operation("GetOpenIDConnectProvider", "OpenIDConnectProviderArn!", get),
    operation("ListOpenIDConnectProviders", "", list),
    operation("DeleteOpenIDConnectProvider", "OpenIDConnectProviderArn!", delete),
    operation("TagOpenIDConnectProvider", "OpenIDConnectProviderArn! @members", tag),
    operation(
        "ListOpenIDConnectProviderTags",
        "OpenIDConnectProviderArn! @marker",
        tags_of,
    ),
];

/// One provider.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Provider {
    // Without its scheme, as IAM shows it.
    url: String,
    clients: Vec<String>,
    thumbprints: Vec<String>,
    created: Timestamp,
    tags: Tags,
}

fn provider<'a>(site: &'a mut Site<'_>, form: &Form<'_>) -> Result<&'a mut Provider, Refusal> {
    let arn = form.required("OpenIDConnectProviderArn")?;
    let missing = || no_such_entity(format!("OpenIDConnect Provider not found for arn {arn}"));
    site.iam().providers.get_mut(arn).ok_or_else(missing)
}

fn create(site: &mut Site<'_>, form: &Form<'_>) -> Result<Xml, Refusal> {
    let url = form.required("Url")?;
    let Some(place) = url.strip_prefix("https://").filter(|place| !place.is_empty()) else {
        return Err(Refusal::new(
            "ValidationError",
            format!("Invalid Open ID Connect Provider URL: {url}"),
        ));
    };
    let tags = read_tags(form)?;
    let arn = site.iam_arn("oidc-provider/", "", place);
    if site.iam().providers.contains_key(&arn) {
        return Err(exists(format!("Provider with url {url} already exists.")));
    }
    let owned = |texts: Vec<&str>| texts.into_iter().map(str::to_owned).collect();
    let thumbprints: Vec<String> = owned(form.texts("ThumbprintList.member"));
    if let Some(bad) = thumbprints
        .iter()
        .find(|text| text.len() != 40 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()))
    {
        return Err(Refusal::new(
            "InvalidInput",
            format!("Thumbprint {bad} must be 40 hexadecimal digits"),
        ));
    }
    let provider = Provider {
        url: place.to_owned(),
        clients: owned(form.texts("ClientIDList.member")),
        thumbprints,
        created: site.now,
        tags,
    };
    let mut xml = Xml::new();
    xml.text("OpenIDConnectProviderArn", &arn);
    write_tags(&provider.tags, &mut xml);
    site.iam().providers.insert(arn, provider);
    Ok(xml)
}

fn get(site: &mut Site<'_>, form: &Form<'_>) -> Result<Xml, Refusal> {
    let provider = provider(site, form)?;
    let mut xml = Xml::new();
    xml.text("Url", &provider.url)
        .texts("ClientIDList", "member", &provider.clients)
        .texts("ThumbprintList", "member", &provider.thumbprints)
        .text("CreateDate", iso(provider.created));
    write_tags(&provider.tags, &mut xml);
    Ok(xml)
}

#[expect(clippy::unnecessary_wraps, reason = "all operations of the table have one type")]
fn list(site: &mut Site<'_>, _: &Form<'_>) -> Result<Xml, Refusal> {
    let mut xml = Xml::new();
    xml.list(
        "OpenIDConnectProviderList",
        "member",
        site.iam().providers.keys(),
        |xml, arn| {
            xml.text("Arn", arn);
        },
    );
    Ok(xml)
}

fn delete(site: &mut Site<'_>, form: &Form<'_>) -> Result<Xml, Refusal> {
    let arn = form.required("OpenIDConnectProviderArn")?;
    provider(site, form)?;
    site.iam().providers.remove(arn);
    Ok(Xml::new())
}

fn tag(site: &mut Site<'_>, form: &Form<'_>) -> Result<Xml, Refusal> {
    let added = read_tags(form)?;
    add_tags(&mut provider(site, form)?.tags, added)?;
    Ok(Xml::new())
}

fn tags_of(site: &mut Site<'_>, form: &Form<'_>) -> Result<Xml, Refusal> {
    let provider = provider(site, form)?;
    list_tags(form, &provider.tags)
}
