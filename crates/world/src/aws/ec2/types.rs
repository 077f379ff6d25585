//! Instance types: what they have, where they are offered, what they cost.
//!
//! The table is `instance_types.txt`; it says where its figures come from and which of them are estimates.

use std::sync::LazyLock;

use crate::aws::Refusal;
use crate::aws::Site;
use crate::aws::Tags;
use crate::aws::ec2::resource::Filters;
use crate::aws::ec2::resource::answer_page;
use crate::aws::ec2::zones;
use crate::aws::iso;
use crate::aws::query::Form;
use crate::aws::query::Operation;
use crate::aws::query::Run;
use crate::aws::query::operation;
use crate::aws::xml::Xml;

pub(super) const OPERATIONS: &[Operation<Run>] = &[
    operation(
        "DescribeInstanceTypes",
        "InstanceType.# @filters @pages",
        describe_types,
    ),
    operation(
        "DescribeInstanceTypeOfferings",
        "LocationType @filters @pages",
        describe_offerings,
    ),
    operation(
        "DescribeSpotPriceHistory",
        "InstanceType.# ProductDescription.# AvailabilityZone StartTime EndTime @filters @pages",
        describe_spot_prices,
    ),
];

/// One instance type.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct InstanceType {
    pub(crate) name: &'static str,
    pub(crate) vcpus: u32,
    pub(crate) memory_mib: u64,
    pub(crate) gpus: u32,
    pub(crate) gpu: &'static str,
    pub(crate) gpu_mib: u64,
    /// As EC2 writes it: `x86_64` or `arm64`.
    pub(crate) architecture: &'static str,
    /// Network interfaces that it takes.
    pub(crate) interfaces: u32,
    /// Addresses on each of them.
    pub(crate) addresses: u32,
    // us-east-1, then eu-west-1.
    on_demand: [Option<f64>; 2],
    spot: [Option<f64>; 2],
}

static TABLE: LazyLock<Vec<InstanceType>> = LazyLock::new(|| {
    let lines = include_str!("instance_types.txt").lines();
    lines.filter(|line| !line.starts_with('#')).filter_map(parse).collect()
});

fn parse(line: &'static str) -> Option<InstanceType> {
    let mut words = line.split_whitespace();
    let mut word = || words.next();
    Some(InstanceType {
        name: word()?,
        vcpus: word()?.parse().ok()?,
        memory_mib: word()?.parse().ok()?,
        gpus: word()?.parse().ok()?,
        gpu: word()?,
        gpu_mib: word()?.parse().ok()?,
        architecture: word()?,
        interfaces: word()?.parse().ok()?,
        addresses: word()?.parse().ok()?,
        on_demand: [word()?.parse().ok(), word()?.parse().ok()],
        spot: [word()?.parse().ok(), word()?.parse().ok()],
    })
}

/// All types that there are, in the order of the table.
pub(crate) fn all() -> &'static [InstanceType] {
    &TABLE
}

/// The type with a name.
pub(crate) fn find(name: &str) -> Option<&'static InstanceType> {
    TABLE.iter().find(|kind| kind.name == name)
}

/// Europe's regions cost and offer what eu-west-1 does, all others what us-east-1 does.
fn column(region: &str) -> usize {
    usize::from(region.starts_with("eu-"))
}

impl InstanceType {
    /// The family, such as `g5`.
    pub(crate) fn family(&self) -> &'static str {
        self.name.split('.').next().unwrap_or(self.name)
    }

    /// Dollars an hour on demand; none if the region does not offer it.
    pub(crate) fn on_demand_price(&self, region: &str) -> Option<f64> {
        self.on_demand[column(region)]
    }

    /// Dollars an hour on Spot in a zone; none if the region does not offer it. Zones differ by some percent, always in
    /// the same way.
    pub(crate) fn spot_price(&self, zone: &str) -> Option<f64> {
        let factor = match zone.bytes().last() {
            Some(b'a') => 1.0,
            Some(b'b') => 1.02,
            _ => 0.98,
        };
        let price = self.spot[column(zone)]? * factor;
        Some((price * 10_000.0).round() / 10_000.0)
    }

    fn write(&self, xml: &mut Xml) {
        let burstable = self.family().starts_with('t');
        xml.text("instanceType", self.name)
            .text("currentGeneration", self.family() != "m4")
            .text("freeTierEligible", false)
            .texts("supportedUsageClasses", "item", ["on-demand", "spot"])
            .texts("supportedRootDeviceTypes", "item", ["ebs"])
            .texts("supportedVirtualizationTypes", "item", ["hvm"])
            .text("bareMetal", false)
            .text("hypervisor", if self.family() == "m4" { "xen" } else { "nitro" })
            .element("processorInfo", |xml| {
                xml.texts("supportedArchitectures", "item", [self.architecture]).text(
                    "manufacturer",
                    if self.architecture == "arm64" { "AWS" } else { "Intel" },
                );
            })
            .element("vCpuInfo", |xml| {
                let threads = if self.architecture == "arm64" { 1 } else { 2 };
                xml.text("defaultVCpus", self.vcpus)
                    .text("defaultCores", self.vcpus / threads)
                    .text("defaultThreadsPerCore", threads);
            })
            .element("memoryInfo", |xml| {
                xml.text("sizeInMiB", self.memory_mib);
            })
            .text("instanceStorageSupported", self.gpus > 0)
            .element("networkInfo", |xml| {
                xml.text("maximumNetworkInterfaces", self.interfaces)
                    .text("maximumNetworkCards", 1)
                    .text("defaultNetworkCardIndex", 0)
                    .text("ipv4AddressesPerInterface", self.addresses)
                    .text("ipv6AddressesPerInterface", self.addresses)
                    .text("ipv6Supported", true)
                    .text("enaSupport", "required");
            });
        if self.gpus > 0 {
            xml.element("gpuInfo", |xml| {
                xml.list("gpus", "item", [self], |xml, kind| {
                    xml.text("name", kind.gpu)
                        .text("manufacturer", "NVIDIA")
                        .text("count", kind.gpus)
                        .element("memoryInfo", |xml| {
                            xml.text("sizeInMiB", kind.gpu_mib);
                        });
                })
                .text("totalGpuMemoryInMiB", self.gpu_mib * u64::from(self.gpus));
            });
        }
        xml.text("hibernationSupported", false)
            .text("burstablePerformanceSupported", burstable)
            .text("dedicatedHostsSupported", !burstable)
            .text("autoRecoverySupported", true);
    }

    fn facet(&self, filter: &str) -> Vec<String> {
        vec![match filter {
            "bare-metal" => "false".to_owned(),
            "current-generation" => (self.family() != "m4").to_string(),
            "hypervisor" => if self.family() == "m4" { "xen" } else { "nitro" }.to_owned(),
            "instance-type" => self.name.to_owned(),
            "processor-info.supported-architecture" => self.architecture.to_owned(),
            "supported-virtualization-type" => "hvm".to_owned(),
            "vcpu-info.default-vcpus" => self.vcpus.to_string(),
            _ => return vec!["on-demand".to_owned(), "spot".to_owned()],
        }]
    }
}

/// The types that a call lists, which must all be offered; all that are offered if it lists none.
fn wanted(site: &Site<'_>, form: &Form<'_>) -> Result<Vec<&'static InstanceType>, Refusal> {
    let names = form.texts("InstanceType");
    let offered = |kind: &&InstanceType| kind.on_demand_price(site.region).is_some();
    let unknown: Vec<&str> = names
        .iter()
        .filter(|name| !find(name).is_some_and(|kind| offered(&kind)))
        .copied()
        .collect();
    if !unknown.is_empty() {
        let message = format!(
            "The following supplied instance types do not exist: [{}]",
            unknown.join(", ")
        );
        return Err(Refusal::new("InvalidInstanceType", message));
    }
    Ok(all()
        .iter()
        .filter(offered)
        .filter(|kind| names.is_empty() || names.contains(&kind.name))
        .collect())
}

fn describe_types(site: &mut Site<'_>, form: &Form<'_>) -> Result<Xml, Refusal> {
    let known = [
        "bare-metal",
        "current-generation",
        "hypervisor",
        "instance-type",
        "processor-info.supported-architecture",
        "supported-usage-class",
        "supported-virtualization-type",
        "vcpu-info.default-vcpus",
    ];
    let filters = Filters::read(form, &known)?;
    let mut found = wanted(site, form)?;
    found.retain(|kind| filters.fit(&Tags::new(), |name| kind.facet(name)));
    found.sort_by_key(|kind| kind.name);
    answer_page(
        form,
        "instanceTypeSet",
        found,
        |kind| kind.name.to_owned(),
        |xml, kind| kind.write(xml),
    )
}

fn describe_offerings(site: &mut Site<'_>, form: &Form<'_>) -> Result<Xml, Refusal> {
    let filters = Filters::read(form, &["instance-type", "location"])?;
    let level = form.text("LocationType").unwrap_or("region");
    let locations: Vec<(String, String)> = match level {
        "region" => vec![(site.region.to_owned(), site.region.to_owned())],
        "availability-zone" => zones::names(site.region)
            .into_iter()
            .map(|zone| (zone.clone(), zone))
            .collect(),
        "availability-zone-id" => zones::names(site.region)
            .into_iter()
            .map(|zone| (zones::zone_id(&zone), zone))
            .collect(),
        other => {
            let message = format!("Invalid value '{other}' for parameter locationType");
            return Err(Refusal::new("InvalidParameterValue", message));
        }
    };
    let facet = |kind: &InstanceType, location: &str, name: &str| {
        vec![if name == "location" { location } else { kind.name }.to_owned()]
    };
    let offered = all().iter().filter(|kind| kind.on_demand_price(site.region).is_some());
    let mut found: Vec<(&InstanceType, &String)> = offered
        .flat_map(|kind| locations.iter().map(move |(location, _)| (kind, location)))
        .filter(|(kind, location)| filters.fit(&Tags::new(), |name| facet(kind, location, name)))
        .collect();
    found.sort_by_key(|(kind, location)| format!("{} {location}", kind.name));
    let key = |(kind, location): &(&InstanceType, &String)| format!("{} {location}", kind.name);
    answer_page(form, "instanceTypeOfferingSet", found, key, |xml, (kind, location)| {
        xml.text("instanceType", kind.name)
            .text("locationType", level)
            .text("location", location);
    })
}

fn describe_spot_prices(site: &mut Site<'_>, form: &Form<'_>) -> Result<Xml, Refusal> {
    let filters = Filters::read(form, &["availability-zone", "instance-type", "product-description"])?;
    let products = form.texts("ProductDescription");
    let linux = |product: &&str| ["Linux/UNIX", "Linux/UNIX (Amazon VPC)"].contains(product);
    let wanted = wanted(site, form)?;
    let zones = zones::names(site.region);
    let only = form.text("AvailabilityZone");
    let facet = |kind: &InstanceType, zone: &str, name: &str| {
        vec![
            match name {
                "availability-zone" => zone,
                "instance-type" => kind.name,
                _ => "Linux/UNIX",
            }
            .to_owned(),
        ]
    };
    let pairs = wanted
        .into_iter()
        .flat_map(|kind| zones.iter().map(move |zone| (kind, zone)));
    let mut found: Vec<(&InstanceType, &String)> = pairs
        .filter(|(_, zone)| only.is_none_or(|only| only == *zone))
        .filter(|_| products.is_empty() || products.iter().any(linux))
        .filter(|(kind, zone)| filters.fit(&Tags::new(), |name| facet(kind, zone, name)))
        .collect();
    found.sort_by_key(|(kind, zone)| format!("{} {zone}", kind.name));
    let now = iso(site.now);
    let key = |(kind, zone): &(&InstanceType, &String)| format!("{} {zone}", kind.name);
    answer_page(form, "spotPriceHistorySet", found, key, |xml, (kind, zone)| {
        xml.text("instanceType", kind.name)
            .text("productDescription", "Linux/UNIX")
            .maybe("spotPrice", kind.spot_price(zone).map(|price| format!("{price:.6}")))
            .text("timestamp", &now)
            .text("availabilityZone", zone)
            .text("availabilityZoneId", zones::zone_id(zone));
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_the_table_is_a_type() {
        let lines = include_str!("instance_types.txt")
            .lines()
            .filter(|line| !line.starts_with('#'));
        assert_eq!(lines.count(), all().len());
    }

    #[test]
    fn prices_are_those_of_the_region() {
        let kind = find("g5.2xlarge").unwrap();
        assert_eq!(kind.on_demand_price("us-east-1"), Some(1.212));
        assert_eq!(kind.on_demand_price("eu-west-1"), Some(1.353));
        assert!(kind.spot_price("eu-west-1a").unwrap() < 0.7);
        assert_eq!(find("g6.2xlarge").unwrap().on_demand_price("eu-west-1"), None);
    }
}
