//! Certificates and keys.

use std::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::Arguments;
use super::Function;
use super::Param::Any;
use super::Param::Int;
use super::Param::List;
use super::Param::String as Text;
use super::Trouble;
use super::items;
use crate::certificate::Certificate;
use crate::certificate::Request;
use crate::certificate::private_key_text;
use crate::eval::Engine;
use crate::format;
use crate::value::Value;

pub(super) static FUNCTIONS: &[Function] = &[
    Function::engine("genCA", &[Text, Int], |engine, arguments| {
        let request = Request {
            common_name: arguments.text(0).to_owned(),
            addresses: Vec::new(),
            names: Vec::new(),
            days: arguments.int(1),
            authority: true,
        };
        issue(engine, &request, None)
    }),
    Function::engine("genSelfSignedCert", &[Text, List, List, Int], |engine, arguments| {
        issue(engine, &request(arguments)?, None)
    }),
    Function::engine("genSignedCert", &[Text, List, List, Int, Any], |engine, arguments| {
        let authority = match &arguments[4] {
            Value::Object(object) => object.as_any().downcast_ref::<Certificate>().cloned(),
            _ => None,
        };
        let Some(authority) = authority else {
            let got = arguments[4].type_name();
            return Err(Trouble::Message(format!(
                "wrong type for value; expected sprig.certificate; got {got}"
            )));
        };
        issue(engine, &request(arguments)?, Some(&authority))
    }),
    Function::pure("buildCustomCert", &[Text, Text], |arguments| {
        let decode = |position: usize, what: &str| {
            let bytes = STANDARD.decode(arguments.text(position));
            let text = bytes.ok().and_then(|bytes| String::from_utf8(bytes).ok());
            text.ok_or_else(|| format!("unable to decode base64 {what}"))
        };
        let (cert, key) = (decode(0, "certificate")?, decode(1, "private key")?);
        if !cert.contains("-----BEGIN CERTIFICATE-----") {
            return Err("unable to decode certificate".to_owned());
        }
        if !key.contains("PRIVATE KEY-----") {
            return Err("error parsing private key: no PEM data in input".to_owned());
        }
        Ok(Value::object(Certificate::custom(cert, key)))
    }),
    Function::engine("genPrivateKey", &[Text], |engine, arguments| match arguments.text(0) {
        "ecdsa" => Ok(private_key_text(&mut engine.random).into()),
        kind @ ("" | "rsa" | "dsa" | "ed25519") => Err(Trouble::Message(format!(
            "keys of type {kind:?} are not made here, because they cannot be repeated from a seed; ask for \"ecdsa\""
        ))),
        kind => Err(Trouble::Message(format!("Unknown type {kind}"))),
    }),
];

fn issue(engine: &mut Engine<'_>, request: &Request, authority: Option<&Certificate>) -> Result<Value, Trouble> {
    let certificate = Certificate::issue(request, authority, &mut engine.random, engine.now)?;
    Ok(Value::object(certificate))
}

fn request(arguments: &[Value]) -> Result<Request, Trouble> {
    let mut addresses = Vec::new();
    for item in items(&arguments[1]).unwrap_or_default() {
        let Value::String(text) = &item else {
            return Err(Trouble::Message(format!(
                "error parsing ip: {} is not a string",
                format::text(&item)
            )));
        };
        let address: IpAddr = text.parse().map_err(|_| format!("error parsing ip: {text}"))?;
        addresses.push(address);
    }
    let mut names = Vec::new();
    for item in items(&arguments[2]).unwrap_or_default() {
        let Value::String(text) = &item else {
            let shown = format::text(&item);
            return Err(Trouble::Message(format!(
                "error processing alternate dns name: {shown} is not a string"
            )));
        };
        names.push(text.to_string());
    }
    Ok(Request {
        common_name: arguments.text(0).to_owned(),
        addresses,
        names,
        days: arguments.int(3),
        authority: false,
    })
}
