//! Paths and addresses.

use super::Arguments;
use super::Function;
use super::Param::Map as Dict;
use super::Param::String as Text;
use crate::value::Entries;
use crate::value::Value;

pub(super) static FUNCTIONS: &[Function] = &[
    Function::pure("base", &[Text], |arguments| Ok(base(arguments.text(0)).into())),
    Function::pure("osBase", &[Text], |arguments| Ok(base(arguments.text(0)).into())),
    Function::pure("dir", &[Text], |arguments| Ok(directory(arguments.text(0)).into())),
    Function::pure("osDir", &[Text], |arguments| Ok(directory(arguments.text(0)).into())),
    Function::pure("clean", &[Text], |arguments| Ok(clean(arguments.text(0)).into())),
    Function::pure("osClean", &[Text], |arguments| Ok(clean(arguments.text(0)).into())),
    Function::pure("ext", &[Text], |arguments| Ok(extension(arguments.text(0)).into())),
    Function::pure("osExt", &[Text], |arguments| Ok(extension(arguments.text(0)).into())),
    Function::pure("isAbs", &[Text], |arguments| {
        Ok(Value::Bool(arguments.text(0).starts_with('/')))
    }),
    Function::pure("osIsAbs", &[Text], |arguments| {
        Ok(Value::Bool(arguments.text(0).starts_with('/')))
    }),
    // Rendering asks no name server.
    Function::pure("getHostByName", &[Text], |_| Ok("".into())),
    Function::pure("urlParse", &[Text], |arguments| parse_url(arguments.text(0))),
    Function::pure("urlJoin", &[Dict], join_url),
];

/// The last element of a path.
pub(super) fn base(path: &str) -> &str {
    if path.is_empty() {
        return ".";
    }
    let trimmed = path.trim_end_matches('/');
    if trimmed.is_empty() {
        return "/";
    }
    trimmed.rsplit('/').next().unwrap_or(trimmed)
}

fn directory(path: &str) -> String {
    clean(&path[..path.rfind('/').map_or(0, |at| at + 1)])
}

fn extension(path: &str) -> &str {
    let name = &path[path.rfind('/').map_or(0, |at| at + 1)..];
    name.rfind('.').map_or("", |at| &name[at..])
}

/// The shortest path to the same place.
fn clean(path: &str) -> String {
    let rooted = path.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            ".." if rooted => {}
            _ => parts.push(part),
        }
    }
    match (rooted, parts.join("/")) {
        (true, joined) => format!("/{joined}"),
        (false, joined) if joined.is_empty() => ".".to_owned(),
        (false, joined) => joined,
    }
}

fn parse_url(text: &str) -> Result<Value, String> {
    let (rest, fragment) = text.split_once('#').unwrap_or((text, ""));
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (scheme, rest) = match rest.split_once(':') {
        Some((scheme, rest)) if is_scheme(scheme) => (scheme.to_ascii_lowercase(), rest),
        Some(("", _)) => return Err(format!("unable to parse url: parse {text:?}: missing protocol scheme")),
        _ => (String::new(), rest),
    };
    let (authority, path) = match rest.strip_prefix("//") {
        Some(rest) => rest.split_at(rest.find('/').unwrap_or(rest.len())),
        None => ("", rest),
    };
    let (user, host) = authority.rsplit_once('@').unwrap_or(("", authority));
    let opaque = !scheme.is_empty() && authority.is_empty() && !path.is_empty() && !path.starts_with('/');
    let hostname = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    let hostname = hostname.trim_start_matches('[').trim_end_matches(']');
    let fields = [
        ("scheme", scheme.as_str()),
        ("host", host),
        ("hostname", hostname),
        ("query", query),
        ("opaque", if opaque { path } else { "" }),
        ("fragment", fragment),
        ("userinfo", user),
        ("path", if opaque { "" } else { path }),
    ];
    Ok(Value::map(
        fields
            .into_iter()
            .map(|(key, value)| (key.into(), value.into()))
            .collect::<Entries>(),
    ))
}

fn is_scheme(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'))
}

fn join_url(arguments: &[Value]) -> Result<Value, String> {
    let parts = arguments.map(0);
    let mut fields = Vec::new();
    for key in ["scheme", "userinfo", "host", "opaque", "path", "query", "fragment"] {
        match parts.get(key) {
            None => fields.push(String::new()),
            Some(Value::String(text)) => fields.push(text.to_string()),
            Some(_) => return Err(format!("unable to parse {key} key, must be of type string")),
        }
    }
    let [scheme, user, host, opaque, path, query, fragment] = fields.as_slice() else {
        return Ok("".into());
    };
    let mut out = String::new();
    if !scheme.is_empty() {
        out = format!("{scheme}:");
    }
    if opaque.is_empty() {
        let authority = !(host.is_empty() && user.is_empty());
        if authority || !scheme.is_empty() && !path.is_empty() {
            out.push_str("//");
        }
        if !user.is_empty() {
            out.push_str(user);
            out.push('@');
        }
        out.push_str(host);
        if !path.is_empty() && !path.starts_with('/') && !host.is_empty() {
            out.push('/');
        }
        out.push_str(path);
    } else {
        out.push_str(opaque);
    }
    for (mark, part) in [('?', query), ('#', fragment)] {
        if !part.is_empty() {
            out.push(mark);
            out.push_str(part);
        }
    }
    Ok(out.into())
}
