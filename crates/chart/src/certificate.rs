//! X.509 certificates for charts that bring their own: webhooks, mostly. Keys are P-256 and come from the seed of the
//! rendering, so that a plan shows what apply will do. (Helm makes RSA keys, which cannot be repeated.)

mod der;

use std::any::Any;
use std::net::IpAddr;

use jiff::SignedDuration;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use p256::ecdsa::Signature;
use p256::ecdsa::SigningKey;
use p256::ecdsa::signature::Signer;
use sha1::Digest;
use sha1::Sha1;

use crate::funcs::base64;
use crate::random::Random;
use crate::value::Object;
use crate::value::Value;

/// `1.2.840.10045.4.3.2`, ECDSA with SHA-256.
const ECDSA_SHA256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02];
/// `1.2.840.10045.2.1`, a public key on an elliptic curve.
const EC_PUBLIC_KEY: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
/// `1.2.840.10045.3.1.7`, the curve P-256.
const P256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
/// `2.5.4.3`, a common name.
const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];
/// `2.5.29.14`, `15`, `17`, `19`, `35` and `37`: the extensions.
const SUBJECT_KEY: &[u8] = &[0x55, 0x1d, 0x0e];
const KEY_USAGE: &[u8] = &[0x55, 0x1d, 0x0f];
const ALTERNATIVE_NAMES: &[u8] = &[0x55, 0x1d, 0x11];
const BASIC_CONSTRAINTS: &[u8] = &[0x55, 0x1d, 0x13];
const AUTHORITY_KEY: &[u8] = &[0x55, 0x1d, 0x23];
const EXTENDED_USAGE: &[u8] = &[0x55, 0x1d, 0x25];
/// `1.3.6.1.5.5.7.3.1` and `2`: servers and clients.
const SERVER: &[u8] = &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x01];
const CLIENT: &[u8] = &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x02];

/// What a certificate is to say.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) common_name: String,
    pub(crate) addresses: Vec<IpAddr>,
    pub(crate) names: Vec<String>,
    pub(crate) days: i64,
    pub(crate) authority: bool,
}

/// A certificate and its key.
#[derive(Clone, Debug)]
pub(crate) struct Certificate {
    cert: String,
    key: String,
    /// Who signs and under which name, if it was made here.
    issuer: Option<Issuer>,
}

#[derive(Clone, Debug)]
struct Issuer {
    name: Vec<u8>,
    key: SigningKey,
}

impl Certificate {
    /// Takes texts that were made elsewhere.
    pub(crate) fn custom(cert: String, key: String) -> Self {
        Certificate {
            cert,
            key,
            issuer: None,
        }
    }

    /// Makes a key and a certificate for it; without an authority it signs itself.
    pub(crate) fn issue(
        request: &Request,
        authority: Option<&Certificate>,
        random: &mut Random,
        now: Timestamp,
    ) -> Result<Self, String> {
        let key = new_key(random);
        let name = distinguished_name(&request.common_name);
        let own = Issuer { name, key };
        let issuer = match authority {
            None => &own,
            Some(authority) => authority.issuer.as_ref().ok_or(
                "the authority was not made by genCA in this rendering; sign with one that was, or give the certificate",
            )?,
        };
        let body = to_be_signed(request, &own, issuer, random, now)?;
        let signature: Signature = issuer.key.sign(&body);
        let certificate = der::sequence(&[
            &body,
            &der::sequence(&[&der::object_identifier(ECDSA_SHA256)]),
            &der::bit_string(0, signature.to_der().as_bytes()),
        ]);
        Ok(Certificate {
            cert: pem("CERTIFICATE", &certificate),
            key: pem("EC PRIVATE KEY", &private_key(&own.key)),
            issuer: Some(own),
        })
    }
}

/// A new private key in PEM.
pub(crate) fn private_key_text(random: &mut Random) -> String {
    pem("EC PRIVATE KEY", &private_key(&new_key(random)))
}

impl Object for Certificate {
    fn type_name(&self) -> &'static str {
        "sprig.certificate"
    }

    fn field(&self, name: &str) -> Option<Value> {
        match name {
            "Cert" => Some(self.cert.as_str().into()),
            "Key" => Some(self.key.as_str().into()),
            _ => None,
        }
    }

    fn show(&self) -> String {
        format!("{{{} {}}}", self.cert, self.key)
    }

    fn plain(&self) -> Value {
        let entries = [("Cert", &self.cert), ("Key", &self.key)];
        Value::map(
            entries
                .into_iter()
                .map(|(key, value)| (key.into(), value.as_str().into()))
                .collect(),
        )
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// All but one in 2^32 drawings are a key; the next one is then.
fn new_key(random: &mut Random) -> SigningKey {
    loop {
        if let Ok(key) = SigningKey::from_slice(&random.bytes(32)) {
            return key;
        }
    }
}

fn public_point(key: &SigningKey) -> Vec<u8> {
    key.verifying_key().to_sec1_point(false).as_bytes().to_vec()
}

fn private_key(key: &SigningKey) -> Vec<u8> {
    der::sequence(&[
        &der::integer(&[1]),
        &der::octet_string(&key.to_bytes()),
        &der::tagged(0, &der::object_identifier(P256)),
        &der::tagged(1, &der::bit_string(0, &public_point(key))),
    ])
}

fn distinguished_name(common_name: &str) -> Vec<u8> {
    let attribute = der::sequence(&[&der::object_identifier(COMMON_NAME), &der::text(common_name)]);
    der::sequence(&[&der::set(&[&attribute])])
}

fn to_be_signed(
    request: &Request,
    own: &Issuer,
    issuer: &Issuer,
    random: &mut Random,
    now: Timestamp,
) -> Result<Vec<u8>, String> {
    let lifetime = request.days.checked_mul(24).and_then(SignedDuration::try_from_hours);
    let until = lifetime.and_then(|lifetime| now.checked_add(lifetime).ok());
    let until = until.ok_or_else(|| format!("{} days is no lifetime for a certificate", request.days))?;
    let point = public_point(&own.key);
    let mut serial = random.bytes(16);
    serial[0] &= 0x7f;
    let algorithm = der::sequence(&[&der::object_identifier(EC_PUBLIC_KEY), &der::object_identifier(P256)]);
    Ok(der::sequence(&[
        &der::tagged(0, &der::integer(&[2])),
        &der::integer(&serial),
        &der::sequence(&[&der::object_identifier(ECDSA_SHA256)]),
        &issuer.name,
        &der::sequence(&[&time(now), &time(until)]),
        &own.name,
        &der::sequence(&[&algorithm, &der::bit_string(0, &point)]),
        &der::tagged(3, &extensions(request, &point, &public_point(&issuer.key))),
    ]))
}

fn extensions(request: &Request, point: &[u8], issuer_point: &[u8]) -> Vec<u8> {
    // Digital signatures and key encipherment, and for an authority the signing of certificates.
    let usage = if request.authority {
        der::bit_string(2, &[0xa4])
    } else {
        der::bit_string(5, &[0xa0])
    };
    let extended = der::sequence(&[&der::object_identifier(SERVER), &der::object_identifier(CLIENT)]);
    let constraints = if request.authority {
        der::sequence(&[&der::boolean(true)])
    } else {
        der::sequence(&[])
    };
    let mut all = vec![
        extension(KEY_USAGE, true, &usage),
        extension(EXTENDED_USAGE, false, &extended),
        extension(BASIC_CONSTRAINTS, true, &constraints),
    ];
    if request.authority {
        all.push(extension(SUBJECT_KEY, false, &der::octet_string(&Sha1::digest(point))));
    } else if point != issuer_point {
        let identifier = der::raw(0x80, &Sha1::digest(issuer_point));
        all.push(extension(AUTHORITY_KEY, false, &der::sequence(&[&identifier])));
    }
    let names = request.names.iter().map(|name| der::raw(0x82, name.as_bytes()));
    let addresses = request.addresses.iter().map(|address| match address {
        IpAddr::V4(address) => der::raw(0x87, &address.octets()),
        IpAddr::V6(address) => der::raw(0x87, &address.octets()),
    });
    let alternatives: Vec<Vec<u8>> = names.chain(addresses).collect();
    if !alternatives.is_empty() {
        let alternatives: Vec<&[u8]> = alternatives.iter().map(Vec::as_slice).collect();
        all.push(extension(ALTERNATIVE_NAMES, false, &der::sequence(&alternatives)));
    }
    let all: Vec<&[u8]> = all.iter().map(Vec::as_slice).collect();
    der::sequence(&all)
}

fn extension(identifier: &[u8], critical: bool, value: &[u8]) -> Vec<u8> {
    let (identifier, value) = (der::object_identifier(identifier), der::octet_string(value));
    if critical {
        der::sequence(&[&identifier, &der::boolean(true), &value])
    } else {
        der::sequence(&[&identifier, &value])
    }
}

/// Two digits for the year up to 2049, four from then on.
fn time(at: Timestamp) -> Vec<u8> {
    let at = at.to_zoned(TimeZone::UTC);
    if (1950..2050).contains(&at.year()) {
        der::raw(0x17, at.strftime("%y%m%d%H%M%SZ").to_string().as_bytes())
    } else {
        der::raw(0x18, at.strftime("%Y%m%d%H%M%SZ").to_string().as_bytes())
    }
}

fn pem(label: &str, bytes: &[u8]) -> String {
    let text = base64(bytes);
    let mut out = format!("-----BEGIN {label}-----\n");
    let mut rest = text.as_str();
    while !rest.is_empty() {
        let (line, after) = rest.split_at(rest.len().min(64));
        out.push_str(line);
        out.push('\n');
        rest = after;
    }
    out + &format!("-----END {label}-----\n")
}
