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

pub(super) static FUNCTIONS: &[Function] = &[
    Function::pure("sha1sum", &[Text], |arguments| {
        Ok(hexadecimal(&Sha1::digest(arguments.text(0))).into())
    }),
    Function::pure("sha256sum", &[Text], |arguments| {
        Ok(hexadecimal(&Sha256::digest(arguments.text(0))).into())
    }),
    Function::pure("sha512sum", &[Text], |arguments| {
        Ok(hexadecimal(&Sha512::digest(arguments.text(0))).into())
    }),
    Function::pure("adler32sum", &[Text], |arguments| {
        Ok(adler32(arguments.text(0).as_bytes()).to_string().into())
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

fn hexadecimal(digest: &[u8]) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn adler32(bytes: &[u8]) -> u32 {
    const MODULUS: u32 = 65_521;
    let (low, high) = bytes.iter().fold((1, 0), |(low, high), byte| {
        let low = (low + u32::from(*byte)) % MODULUS;
        (low, (high + low) % MODULUS)
    });
    high << 16 | low
}
