//! Which service, which region and whose key a request was signed for.

use http::header::AUTHORIZATION;

use crate::core::Request;

/// The credential scope of a `SigV4` signature, from the header or from a presigned URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Scope {
    /// The access key id.
    pub(crate) key: String,
    /// The region that the request was signed for.
    pub(crate) region: String,
    /// The service that the request was signed for, such as `ec2`.
    pub(crate) service: String,
}

impl Scope {
    /// The scope that `request` was signed with; none if it is not a `SigV4` request.
    pub(crate) fn of(request: &Request) -> Option<Self> {
        let header = request
            .headers()
            .get(AUTHORIZATION)
            .and_then(|value| value.to_str().ok());
        if let Some(header) = header.and_then(|header| header.strip_prefix("AWS4-HMAC-SHA256 ")) {
            let credential = header
                .split(',')
                .find_map(|part| part.trim().strip_prefix("Credential="))?;
            return Self::parse(credential);
        }
        let query = request.uri().query()?;
        let credential = form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "X-Amz-Credential")?;
        Self::parse(&credential.1)
    }

    /// Reads `KEY/20260101/eu-west-1/ec2/aws4_request`.
    pub(crate) fn parse(credential: &str) -> Option<Self> {
        let mut parts = credential.split('/');
        let (key, _date, region, service) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        (parts.next() == Some("aws4_request")).then(|| Self {
            key: key.to_owned(),
            region: region.to_owned(),
            service: service.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn check(request: http::request::Builder, expected: Option<(&str, &str, &str)>) {
        let scope = Scope::of(&request.body(Bytes::new()).unwrap());
        let found = scope
            .as_ref()
            .map(|scope| (&*scope.key, &*scope.region, &*scope.service));
        assert_eq!(found, expected);
    }

    #[test]
    fn a_signed_header_names_service_and_region() {
        let header =
            "AWS4-HMAC-SHA256 Credential=AKID/20260101/eu-west-1/ec2/aws4_request, SignedHeaders=host, Signature=00";
        let request = http::Request::builder().header("authorization", header);
        check(request, Some(("AKID", "eu-west-1", "ec2")));
    }

    #[test]
    fn a_presigned_url_names_them_too() {
        let uri =
            "https://sts.eu-west-1.amazonaws.com/?X-Amz-Credential=AKID%2F20260101%2Feu-west-1%2Fsts%2Faws4_request";
        check(http::Request::builder().uri(uri), Some(("AKID", "eu-west-1", "sts")));
    }

    #[test]
    fn a_bearer_token_is_no_signature() {
        let request = http::Request::builder().header("authorization", "Bearer k8s-aws-v1.x");
        check(request, None);
    }
}
