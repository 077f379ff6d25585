//! What a client uploads: plain, or in chunks with checksums behind, as the SDKs send it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::HeaderMap;
use md5::Digest as _;

use crate::aws::Refusal;
use crate::core::Request;

/// The object's bytes, once every checksum that came with them agrees.
pub(super) fn read(request: &Request) -> Result<Bytes, Refusal> {
    let header = |name: &str| text(request.headers(), name);
    let streaming = header("x-amz-content-sha256").is_some_and(|sum| sum.starts_with("STREAMING-"));
    let chunked = streaming || header("content-encoding").is_some_and(|coding| coding.contains("aws-chunked"));
    let (bytes, trailers) = if chunked {
        unchunk(request.body()).ok_or_else(|| Refusal::new("IncompleteBody", "The chunked body is not well-formed."))?
    } else {
        (request.body().clone(), Vec::new())
    };
    if let Some(length) = header("x-amz-decoded-content-length").filter(|_| chunked)
        && length.parse() != Ok(bytes.len())
    {
        return Err(Refusal::new(
            "IncompleteBody",
            "You did not provide the number of bytes specified by the Content-Length HTTP header",
        ));
    }
    let trailer = |name: &str| {
        let found = trailers.iter().find(|(found, _)| found.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    };
    for (name, sum) in [
        ("x-amz-checksum-crc32", crc32(&bytes)),
        ("x-amz-checksum-sha256", STANDARD.encode(sha2::Sha256::digest(&bytes))),
        ("content-md5", STANDARD.encode(md5::Md5::digest(&bytes))),
    ] {
        if header(name).or_else(|| trailer(name)).is_some_and(|sent| sent != sum) {
            let message = format!("The {name} you specified did not match the calculated checksum.");
            return Err(Refusal::new("BadDigest", message));
        }
    }
    Ok(bytes)
}

/// The CRC-32 of some bytes as S3 writes it.
pub(super) fn crc32(bytes: &[u8]) -> String {
    STANDARD.encode(crc32fast::hash(bytes).to_be_bytes())
}

/// A header's text.
pub(super) fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// The bytes of a chunked body, and the trailers behind them.
fn unchunk(body: &[u8]) -> Option<(Bytes, Vec<(String, String)>)> {
    let mut bytes = Vec::new();
    let mut rest = body;
    loop {
        let (line, after) = take_line(rest)?;
        let size = line.split(';').next()?;
        let size = usize::from_str_radix(size.trim(), 16).ok()?;
        if size == 0 {
            rest = after;
            break;
        }
        bytes.extend_from_slice(after.get(..size)?);
        rest = after.get(size..)?.strip_prefix(b"\r\n")?;
    }
    let mut trailers = Vec::new();
    while let Some((line, after)) = take_line(rest) {
        rest = after;
        if let Some((name, value)) = line.split_once(':') {
            trailers.push((name.trim().to_owned(), value.trim().to_owned()));
        }
    }
    Some((bytes.into(), trailers))
}

fn take_line(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let end = bytes.windows(2).position(|pair| pair == b"\r\n")?;
    Some((std::str::from_utf8(&bytes[..end]).ok()?, &bytes[end + 2..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(headers: &[(&str, &str)], body: &str, expected: Result<&str, &str>) {
        let mut request = http::Request::put("/");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let found = read(&request.body(Bytes::from(body.to_owned())).unwrap());
        let found = found.as_deref().map_err(|refusal| refusal.code.as_str());
        assert_eq!(found, expected.map(str::as_bytes), "{body}");
    }

    #[test]
    fn bodies_are_read_and_checked() {
        let chunked = [
            ("content-encoding", "aws-chunked"),
            ("x-amz-decoded-content-length", "5"),
            ("x-amz-content-sha256", "STREAMING-UNSIGNED-PAYLOAD-TRAILER"),
        ];
        check(&[], "hello", Ok("hello"));
        check(
            &chunked,
            "5\r\nhello\r\n0\r\nx-amz-checksum-crc32:NhCmhg==\r\n\r\n",
            Ok("hello"),
        );
        check(
            &chunked,
            "3;chunk-signature=0\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n",
            Ok("hello"),
        );
        check(
            &chunked,
            "5\r\nhello\r\n0\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n",
            Err("BadDigest"),
        );
        check(&chunked, "4\r\nhell\r\n0\r\n\r\n", Err("IncompleteBody"));
        check(&chunked, "hello", Err("IncompleteBody"));
        check(&[("content-md5", "XUFAKrxLKna5cZ2REBfFkg==")], "hello", Ok("hello"));
        check(
            &[("content-md5", "XUFAKrxLKna5cZ2REBfFkg==")],
            "other",
            Err("BadDigest"),
        );
    }
}
