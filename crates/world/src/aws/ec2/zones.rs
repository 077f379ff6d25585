//! Regions and their availability zones: every region here has three.

use crate::aws::Refusal;
use crate::aws::Site;
use crate::aws::Tags;
use crate::aws::ec2::resource::Filters;
use crate::aws::query::Form;
use crate::aws::query::Operation;
use crate::aws::query::Run;
use crate::aws::query::operation;
use crate::aws::xml::Xml;

pub(super) const OPERATIONS: &[Operation<Run>] = &[
    operation(
        "DescribeAvailabilityZones",
        "ZoneName.# ZoneId.# AllAvailabilityZones @filters",
        describe_zones,
    ),
    operation("DescribeRegions", "RegionName.# AllRegions @filters", describe_regions),
];

/// Regions that every account may use, with how their zone ids begin.
const REGIONS: &[(&str, &str)] = &[
    ("ap-northeast-1", "apne1"),
    ("ap-southeast-1", "apse1"),
    ("ap-southeast-2", "apse2"),
    ("ca-central-1", "cac1"),
    ("eu-central-1", "euc1"),
    ("eu-north-1", "eun1"),
    ("eu-west-1", "euw1"),
    ("eu-west-2", "euw2"),
    ("eu-west-3", "euw3"),
    ("us-east-1", "use1"),
    ("us-east-2", "use2"),
    ("us-west-2", "usw2"),
];

/// The names of a region's zones.
pub(crate) fn names(region: &str) -> Vec<String> {
    ["a", "b", "c"].map(|letter| format!("{region}{letter}")).to_vec()
}

/// The id of a zone: which physical zone the account's name stands for.
pub(crate) fn zone_id(name: &str) -> String {
    let (region, letter) = name.split_at(name.len().saturating_sub(1));
    let prefix = REGIONS
        .iter()
        .find(|(known, _)| *known == region)
        .map_or(region, |(_, prefix)| prefix);
    let number = match letter {
        "a" => 2,
        "b" => 3,
        _ => 1,
    };
    format!("{prefix}-az{number}")
}

fn describe_zones(site: &mut Site<'_>, form: &Form<'_>) -> Result<Xml, Refusal> {
    let known = [
        "group-name",
        "opt-in-status",
        "region-name",
        "state",
        "zone-id",
        "zone-name",
        "zone-type",
    ];
    let filters = Filters::read(form, &known)?;
    let (by_name, by_id) = (form.texts("ZoneName"), form.texts("ZoneId"));
    let region = site.region;
    let zones = names(region);
    let unknown = |wanted: &&&str| !zones.iter().any(|name| name == *wanted || zone_id(name) == **wanted);
    if let Some(name) = by_name.iter().chain(&by_id).find(unknown) {
        return Err(Refusal::new(
            "InvalidParameterValue",
            format!("Invalid availability zone: [{name}]"),
        ));
    }
    let facet = |zone: &str, filter: &str| {
        vec![match filter {
            "opt-in-status" => "opt-in-not-required".to_owned(),
            "state" => "available".to_owned(),
            "zone-id" => zone_id(zone),
            "zone-name" => zone.to_owned(),
            "zone-type" => "availability-zone".to_owned(),
            _ => region.to_owned(),
        }]
    };
    let found = zones
        .iter()
        .filter(|zone| by_name.is_empty() || by_name.contains(&zone.as_str()))
        .filter(|zone| by_id.is_empty() || by_id.contains(&zone_id(zone).as_str()))
        .filter(|zone| filters.fit(&Tags::new(), |name| facet(zone, name)));
    let mut xml = Xml::new();
    xml.list("availabilityZoneInfo", "item", found, |xml, zone| {
        xml.text("optInStatus", "opt-in-not-required")
            .list("messageSet", "item", [""; 0], |_, _| ())
            .text("regionName", region)
            .text("zoneName", zone)
            .text("zoneId", zone_id(zone))
            .text("groupName", format!("{region}-zg-1"))
            .text("networkBorderGroup", region)
            .text("zoneType", "availability-zone")
            .text("zoneState", "available");
    });
    Ok(xml)
}

fn describe_regions(_: &mut Site<'_>, form: &Form<'_>) -> Result<Xml, Refusal> {
    let filters = Filters::read(form, &["endpoint", "opt-in-status", "region-name"])?;
    let wanted = form.texts("RegionName");
    if let Some(name) = wanted
        .iter()
        .find(|name| !REGIONS.iter().any(|(known, _)| known == *name))
    {
        return Err(Refusal::new(
            "InvalidParameterValue",
            format!("Invalid region provided: {name}"),
        ));
    }
    let endpoint = |region: &str| format!("ec2.{region}.amazonaws.com");
    let facet = |region: &str, filter: &str| {
        vec![match filter {
            "endpoint" => endpoint(region),
            "opt-in-status" => "opt-in-not-required".to_owned(),
            _ => region.to_owned(),
        }]
    };
    let found = REGIONS
        .iter()
        .map(|(region, _)| *region)
        .filter(|region| wanted.is_empty() || wanted.contains(region))
        .filter(|region| filters.fit(&Tags::new(), |name| facet(region, name)));
    let mut xml = Xml::new();
    xml.list("regionInfo", "item", found, |xml, region| {
        xml.text("regionName", region)
            .text("regionEndpoint", endpoint(region))
            .text("optInStatus", "opt-in-not-required");
    });
    Ok(xml)
}
