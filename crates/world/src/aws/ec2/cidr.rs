//! Blocks of IPv4 addresses.

use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

use serde::Deserialize;
use serde::Serialize;

/// A block of addresses; its base is the first of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct Cidr {
    base: u32,
    prefix: u8,
}

/// The text is no block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an IPv4 block such as 10.0.0.0/16")]
pub(crate) struct BadCidr;

impl Cidr {
    pub(crate) fn prefix(self) -> u8 {
        self.prefix
    }

    /// How many addresses there are.
    pub(crate) fn size(self) -> u64 {
        1 << (32 - self.prefix)
    }

    /// The address at an offset from the base.
    pub(crate) fn address(self, offset: u32) -> Ipv4Addr {
        Ipv4Addr::from(self.base.wrapping_add(offset))
    }

    /// Whether the other block lies within this one.
    pub(crate) fn contains(self, other: Self) -> bool {
        self.prefix <= other.prefix && other.base & mask(self.prefix) == self.base
    }

    /// Whether the blocks share addresses.
    pub(crate) fn overlaps(self, other: Self) -> bool {
        self.contains(other) || other.contains(self)
    }
}

fn mask(prefix: u8) -> u32 {
    u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0)
}

impl FromStr for Cidr {
    type Err = BadCidr;

    fn from_str(text: &str) -> Result<Self, BadCidr> {
        let (address, prefix) = text.split_once('/').ok_or(BadCidr)?;
        let address: Ipv4Addr = address.parse().map_err(|_| BadCidr)?;
        let prefix: u8 = prefix.parse().map_err(|_| BadCidr)?;
        if prefix > 32 {
            return Err(BadCidr);
        }
        Ok(Self {
            base: u32::from(address) & mask(prefix),
            prefix,
        })
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", Ipv4Addr::from(self.base), self.prefix)
    }
}

impl TryFrom<String> for Cidr {
    type Error = BadCidr;

    fn try_from(text: String) -> Result<Self, BadCidr> {
        text.parse()
    }
}

impl From<Cidr> for String {
    fn from(cidr: Cidr) -> Self {
        cidr.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_know_what_lies_in_them() {
        let block = |text: &str| text.parse::<Cidr>().unwrap();
        assert_eq!(block("10.0.3.7/16").to_string(), "10.0.0.0/16");
        assert!(block("10.0.0.0/16").contains(block("10.0.128.0/20")));
        assert!(!block("10.0.0.0/16").contains(block("10.1.0.0/20")));
        assert!(block("10.0.0.0/20").overlaps(block("10.0.8.0/24")));
        assert!(block("0.0.0.0/0").contains(block("1.2.3.4/32")));
        for bad in ["10.0.0.0", "10.0.0/8", "10.0.0.0/33", "::/0", "x/8"] {
            assert_eq!(bad.parse::<Cidr>(), Err(BadCidr), "{bad}");
        }
    }
}
