//! Check sums.

use sha1::Sha1;
use sha2::Digest;
use sha2::Sha256;
use sha2::Sha512;

use super::Arguments;
use super::Function;
use super::Param::Int;
use super::Param::String as Text;
use super::Trouble;
use super::encoding::base64;
use super::length;
use crate::eval::Engine;
use crate::format::hexadecimal;

pub(super) static FUNCTIONS: &[Function] = &[
    Function::pure("sha1sum", &[Text], |arguments| {
        Ok(hexadecimal(&Sha1::digest(arguments.bytes(0))).into())
    }),
    Function::pure("sha256sum", &[Text], |arguments| {
        Ok(hexadecimal(&Sha256::digest(arguments.bytes(0))).into())
    }),
    Function::pure("sha512sum", &[Text], |arguments| {
        Ok(hexadecimal(&Sha512::digest(arguments.bytes(0))).into())
    }),
    Function::pure("adler32sum", &[Text], |arguments| {
        Ok(adler32(arguments.bytes(0)).to_string().into())
    }),
    Function::engine("bcrypt", &[Text], |engine, arguments| {
        Ok(hashed(engine, arguments.bytes(0))?.into())
    }),
    Function::engine("htpasswd", &[Text, Text], |engine, arguments| {
        let user = arguments.text(0);
        if user.contains(':') {
            return Ok(format!("invalid username: {user}").into());
        }
        Ok(format!("{user}:{}", hashed(engine, arguments.bytes(1))?).into())
    }),
    Function::engine("randBytes", &[Int], |engine, arguments| {
        let count = length(arguments.int(0));
        if count > MOST {
            return Err(Trouble::Message(format!("more than {MOST} random bytes")));
        }
        Ok(base64(&engine.random.bytes(count)).into())
    }),
];

/// A key is 64 bytes long; nothing that fits an object of Kubernetes needs more than this.
const MOST: usize = 1 << 20;

/// How often bcrypt stirs, as a power of two: what Go and Helm use.
const COST: u32 = 10;

/// A password hash whose salt comes from the seed.
fn hashed(engine: &mut Engine<'_>, password: &[u8]) -> Result<String, Trouble> {
    if password.len() > 72 {
        return Err(Trouble::Message("bcrypt: password length exceeds 72 bytes".to_owned()));
    }
    let mut salt = [0; 16];
    salt.copy_from_slice(&engine.random.bytes(16));
    let hash = bcrypt::hash_with_salt(password, COST, salt).map_err(|error| error.to_string())?;
    Ok(hash.format_for_version(bcrypt::Version::TwoA))
}

fn adler32(bytes: &[u8]) -> u32 {
    const MODULUS: u32 = 65_521;
    let (low, high) = bytes.iter().fold((1, 0), |(low, high), byte| {
        let low = (low + u32::from(*byte)) % MODULUS;
        (low, (high + low) % MODULUS)
    });
    high << 16 | low
}
