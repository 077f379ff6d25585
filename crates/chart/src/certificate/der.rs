//! The few shapes of DER that certificates are made of.

/// A value behind its tag and length.
pub(super) fn raw(tag: u8, value: &[u8]) -> Vec<u8> {
    let mut out = vec![tag];
    let length = value.len().to_be_bytes();
    let significant = &length[length.iter().position(|byte| *byte != 0).unwrap_or(length.len() - 1)..];
    if value.len() >= 0x80 {
        let count = u8::try_from(significant.len()).unwrap_or(0);
        out.push(0x80 | count);
    }
    out.extend_from_slice(significant);
    out.extend_from_slice(value);
    out
}

pub(super) fn sequence(parts: &[&[u8]]) -> Vec<u8> {
    raw(0x30, &parts.concat())
}

pub(super) fn set(parts: &[&[u8]]) -> Vec<u8> {
    raw(0x31, &parts.concat())
}

/// A part with an explicit tag of its own.
pub(super) fn tagged(number: u8, value: &[u8]) -> Vec<u8> {
    raw(0xa0 | number, value)
}

/// A number that is not negative, without needless zeros before it.
pub(super) fn integer(bytes: &[u8]) -> Vec<u8> {
    let start = bytes
        .iter()
        .position(|byte| *byte != 0)
        .unwrap_or(bytes.len().saturating_sub(1));
    let mut value = bytes[start..].to_vec();
    if value.first().is_some_and(|first| *first >= 0x80) {
        value.insert(0, 0);
    }
    raw(0x02, &value)
}

pub(super) fn boolean(truth: bool) -> Vec<u8> {
    raw(0x01, &[if truth { 0xff } else { 0 }])
}

pub(super) fn object_identifier(encoded: &[u8]) -> Vec<u8> {
    raw(0x06, encoded)
}

pub(super) fn octet_string(bytes: &[u8]) -> Vec<u8> {
    raw(0x04, bytes)
}

/// Bits, of which the last `unused` do not count.
pub(super) fn bit_string(unused: u8, bytes: &[u8]) -> Vec<u8> {
    raw(0x03, &[&[unused], bytes].concat())
}

pub(super) fn text(text: &str) -> Vec<u8> {
    raw(0x0c, text.as_bytes())
}
