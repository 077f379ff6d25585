//! Ranges of IPv4 addresses: reading them, and cutting smaller ones out of them.

use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

use serde_json::Value;
use serde_json::json;

use crate::stack::declare::Declared;
use crate::stack::declare::Reader;
use crate::stack::file::Key;
use crate::stack::file::Node;

/// A range of IPv4 addresses, such as `10.0.0.0/16`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cidr {
    // Invariant: the bits of the address after the prefix are zero; the prefix is at most 32.
    address: u32,
    prefix: u8,
}

/// Text that is no range of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CidrError {
    /// Not an address, a slash and a number up to 32.
    NotACidr,
    /// The address is inside the range and not its first; this range is meant.
    NotTheFirst(Cidr),
}

impl Cidr {
    /// How many bits all its addresses share.
    pub fn prefix(self) -> u8 {
        self.prefix
    }

    /// The range of that prefix that begins `index` such ranges after this one's beginning.
    #[must_use]
    pub fn part(self, prefix: u8, index: u32) -> Self {
        Self {
            address: self.address.wrapping_add(index.wrapping_shl(32 - u32::from(prefix))),
            prefix,
        }
    }
}

impl FromStr for Cidr {
    type Err = CidrError;

    fn from_str(text: &str) -> Result<Self, CidrError> {
        let (address, prefix) = text.split_once('/').ok_or(CidrError::NotACidr)?;
        let address: Ipv4Addr = address.parse().map_err(|_| CidrError::NotACidr)?;
        let prefix: u8 = prefix.parse().map_err(|_| CidrError::NotACidr)?;
        if prefix > 32 {
            return Err(CidrError::NotACidr);
        }
        let mask = u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0);
        let first = Self {
            address: u32::from(address) & mask,
            prefix,
        };
        if first.address == u32::from(address) {
            Ok(first)
        } else {
            Err(CidrError::NotTheFirst(first))
        }
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", Ipv4Addr::from(self.address), self.prefix)
    }
}

impl Declared for Cidr {
    fn read(reader: &Reader<'_>, key: &Key, node: &Node) -> Option<Self> {
        let takes = "a range of addresses";
        match node.text().map(str::parse::<Self>) {
            Some(Ok(cidr)) => Some(cidr),
            Some(Err(CidrError::NotTheFirst(first))) => {
                let hint = format!("its first address is meant: `{first}`");
                reader.mismatch(key, node, takes, Some(hint))
            }
            Some(Err(CidrError::NotACidr)) | None => {
                reader.mismatch(key, node, takes, Some("write it like `10.0.0.0/16`".to_owned()))
            }
        }
    }

    fn schema() -> Value {
        json!({"type": "string", "pattern": r"^([0-9.]+/[0-9]+|\$\{var\..+\})$"})
    }
}
