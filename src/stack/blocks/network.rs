//! The network: a VPC over several zones, with private subnets for nodes and public ones for load balancers and NAT.

use std::collections::BTreeMap;

use crate::resource::id::ResourceId;
use crate::resource::kind::Kind;
use crate::resource::spec;
use crate::stack::Place;
use crate::stack::blocks::Expansion;
use crate::stack::blocks::cidr::Cidr;
use crate::stack::blocks::id;
use crate::stack::blocks::later;
use crate::stack::declare::Placed;
use crate::stack::declare::choice;
use crate::stack::declare::declared;
use crate::stack::names::Site;

/// How much longer a private subnet's prefix is than the network's: a sixteenth of it.
const PRIVATE: u8 = 4;
/// How much longer a public subnet's prefix is than the network's: a sixteenth of a private one.
const PUBLIC: u8 = 8;
/// How many public subnets take the room of a private one.
const PUBLIC_IN_PRIVATE: u32 = 1 << (PUBLIC - PRIVATE);
/// Where everything that is not ours is.
const ANYWHERE: &str = "0.0.0.0/0";

declared! {
    /// A VPC over several zones.
    pub struct Network {
        /// Its addresses; from /16 to /19.
        pub cidr: Placed<Cidr>,
        /// How many zones it spans: 2 to 15.
        pub zones: Placed<u32>,
        /// NAT gateways: `single` is one for all zones, `zone` one for each.
        pub nat: Nat = Nat::Single,
    }
}

choice! {
    /// How private subnets reach the internet.
    pub enum Nat {
        /// Through one NAT gateway for all zones.
        Single = "single",
        /// Through one NAT gateway in each zone.
        Zone = "zone",
    }
}

impl Network {
    /// What is wrong with it here, with the place of the mistake and the next step.
    pub fn problems(&self, place: &Place) -> Vec<(crate::stack::file::Span, String, String)> {
        let mut problems = Vec::new();
        let prefix = self.cidr.value.prefix();
        if !(16..=19).contains(&prefix) {
            let message = format!("a network of /{prefix} cannot be cut into subnets");
            problems.push((self.cidr.at, message, "use a range from /16 to /19".to_owned()));
        }
        let zones = self.zones.value;
        let offered = place.zones.len();
        if !(2..=15).contains(&zones) {
            let hint = "EKS needs 2 zones, and 15 fit into the addresses".to_owned();
            problems.push((self.zones.at, format!("a network cannot span {zones} zones"), hint));
        } else if offered < zones as usize {
            let message = format!("`{}` has {offered} zones, and this asks for {zones}", place.region);
            problems.push((
                self.zones.at,
                message,
                "ask for fewer, or choose another region".to_owned(),
            ));
        }
        problems
    }

    /// The private subnets, in order of their zones.
    pub fn private_subnets(&self, place: &Place) -> Vec<ResourceId> {
        let subnet = |zone: &str| id(Kind::Subnet, &format!("private-{zone}"));
        self.zones(place).map(|(zone, _)| subnet(zone)).collect()
    }

    /// The addresses of the private subnets.
    pub fn private_ranges(&self, place: &Place) -> Vec<Cidr> {
        (0..)
            .zip(self.zones(place))
            .map(|(index, _)| self.private_range(index))
            .collect()
    }

    /// The route tables by which nodes reach the internet: theirs to the NAT gateway, and that one's onwards.
    pub fn routes(&self, place: &Place) -> Vec<ResourceId> {
        let private = self.nat_zones(place).into_iter().map(|zone| self.private_table(zone));
        let tables = private.chain(["public".to_owned()]);
        tables.map(|table| id(Kind::RouteTable, &table)).collect()
    }

    /// What the network becomes.
    pub fn expand(&self, site: &Site<'_>) -> Expansion {
        let place = site.place;
        let vpc = later(Kind::Vpc, "main", "id");
        let mut expansion = Expansion::default();
        let spec = spec::Vpc {
            cidr: self.cidr.value.to_string(),
            dns_support: true,
            dns_hostnames: true,
            tags: spec::Tags::new(),
        };
        expansion.resource(Kind::Vpc, "main", site.stack.to_owned(), spec);
        expansion.output("vpc_id", vpc.clone(), id(Kind::Vpc, "main"));
        expansion.output("cidr", self.cidr.value.to_string(), id(Kind::Vpc, "main"));

        let gateway = spec::InternetGateway { vpc: vpc.clone() };
        expansion.resource(Kind::InternetGateway, "main", site.stack.to_owned(), gateway);
        for (index, (zone, full)) in (0..).zip(self.zones(place)) {
            self.subnets(site, &mut expansion, index, zone, full);
        }
        for zone in self.nat_zones(place) {
            Self::nat_gateway(site, &mut expansion, zone);
        }
        self.route_tables(site, &mut expansion, &vpc);
        expansion
    }

    fn subnets(&self, site: &Site<'_>, expansion: &mut Expansion, index: u32, zone: &str, full: &str) {
        let shared = (format!("kubernetes.io/cluster/{}", site.stack), "shared".to_owned());
        let role = |role: &str| (format!("kubernetes.io/role/{role}"), "1".to_owned());
        let discovery = ("karpenter.sh/discovery".to_owned(), site.stack.to_owned());
        let tiers = [
            (
                "private",
                self.private_range(index),
                spec::Tags::from([shared.clone(), role("internal-elb"), discovery]),
            ),
            (
                "public",
                self.public_range(index, site.place),
                spec::Tags::from([shared, role("elb")]),
            ),
        ];
        for (tier, cidr, tags) in tiers {
            let name = format!("{tier}-{zone}");
            let spec = spec::Subnet {
                vpc: later(Kind::Vpc, "main", "id"),
                cidr: cidr.to_string(),
                zone: full.to_owned(),
                public_ip_on_launch: tier == "public",
                tags,
            };
            expansion.resource(Kind::Subnet, &name, site.name(&name), spec);
        }
    }

    fn nat_gateway(site: &Site<'_>, expansion: &mut Expansion, zone: &str) {
        let name = site.name(&format!("nat-{zone}"));
        expansion.resource(Kind::ElasticIp, zone, name.clone(), spec::ElasticIp {});
        let spec = spec::NatGateway {
            subnet: later(Kind::Subnet, &format!("public-{zone}"), "id"),
            address: later(Kind::ElasticIp, zone, "id"),
        };
        let gateway = expansion.resource(Kind::NatGateway, zone, name, spec);
        // Without the gateway being attached, AWS refuses to make it.
        gateway.needs.insert(id(Kind::InternetGateway, "main"));
    }

    fn route_tables(&self, site: &Site<'_>, expansion: &mut Expansion, vpc: &str) {
        let subnets = |tier: &str, zones: &[&str]| -> Vec<String> {
            zones
                .iter()
                .map(|zone| later(Kind::Subnet, &format!("{tier}-{zone}"), "id"))
                .collect()
        };
        let zones: Vec<&str> = self.zones(site.place).map(|(zone, _)| zone).collect();
        let mut tables = vec![(
            "public".to_owned(),
            later(Kind::InternetGateway, "main", "id"),
            subnets("public", &zones),
        )];
        for zone in self.nat_zones(site.place) {
            let of = match self.nat {
                Nat::Single => zones.clone(),
                Nat::Zone => vec![zone],
            };
            let nat = later(Kind::NatGateway, zone, "id");
            tables.push((self.private_table(zone), nat, subnets("private", &of)));
        }
        for (name, through, subnets) in tables {
            let spec = spec::RouteTable {
                vpc: vpc.to_owned(),
                routes: BTreeMap::from([(ANYWHERE.to_owned(), through)]),
                subnets,
            };
            expansion.resource(Kind::RouteTable, &name, site.name(&name), spec);
        }
    }

    /// The zones it spans: the letter by which ids call each, and AWS's name.
    fn zones<'a>(&self, place: &'a Place) -> impl Iterator<Item = (&'a str, &'a str)> {
        let letter = |zone: &'a String| zone.strip_prefix(place.region.as_str()).unwrap_or(zone);
        place
            .zones
            .iter()
            .take(self.zones.value as usize)
            .map(move |zone| (letter(zone), zone.as_str()))
    }

    fn nat_zones<'a>(&self, place: &'a Place) -> Vec<&'a str> {
        let count = match self.nat {
            Nat::Single => 1,
            Nat::Zone => self.zones.value as usize,
        };
        self.zones(place).map(|(zone, _)| zone).take(count).collect()
    }

    fn private_table(&self, zone: &str) -> String {
        match self.nat {
            Nat::Single => "private".to_owned(),
            Nat::Zone => format!("private-{zone}"),
        }
    }

    fn private_range(&self, index: u32) -> Cidr {
        self.cidr.value.part(self.cidr.value.prefix() + PRIVATE, index)
    }

    /// The public subnets come after the last private one.
    fn public_range(&self, index: u32, place: &Place) -> Cidr {
        let first = u32::try_from(self.zones(place).count()).expect("zones are few") * PUBLIC_IN_PRIVATE;
        self.cidr.value.part(self.cidr.value.prefix() + PUBLIC, first + index)
    }
}
