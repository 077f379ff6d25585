//! S3 at the wire.

use bytes::Bytes;

use super::*;
use crate::aws::wire::Answer;
use crate::aws::wire::World;
use crate::aws::wire::signed;

const CREATE: &str =
    "<CreateBucketConfiguration><LocationConstraint>eu-west-1</LocationConstraint></CreateBucketConfiguration>";

fn world() -> World {
    let mut world = World::new();
    call(&mut world, "PUT", "/tube-questions", CREATE).ok();
    world
}

fn call(world: &mut World, method: &str, path: &str, body: &str) -> Answer {
    world.rest("s3", method, path, body)
}

fn with(world: &mut World, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Response {
    let mut request = signed("s3")
        .method(method)
        .uri(format!("https://s3.eu-west-1.amazonaws.com{path}"));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    world.reply(request.body(Bytes::from(body.to_owned())).unwrap())
}

fn version(response: &Response) -> String {
    response.headers()["x-amz-version-id"].to_str().unwrap().to_owned()
}

#[test]
fn a_bucket_is_named_in_the_path_or_in_the_host() {
    let check = |uri: &str, expected: Target| {
        let request = http::Request::get(uri).body(Bytes::new()).unwrap();
        assert_eq!(Target::of(&request), expected, "{uri}");
    };
    let object = || Target::Object("b".to_owned(), "k/é".to_owned());
    check("https://s3.eu-west-1.amazonaws.com/", Target::Account);
    check("https://s3.eu-west-1.amazonaws.com/b", Target::Bucket("b".to_owned()));
    check("https://s3.eu-west-1.amazonaws.com/b/", Target::Bucket("b".to_owned()));
    check("https://s3.eu-west-1.amazonaws.com/b/k/%C3%A9", object());
    check("https://b.s3.eu-west-1.amazonaws.com/k/%C3%A9", object());
    check("https://b.s3.amazonaws.com/", Target::Bucket("b".to_owned()));
    check("http://127.0.0.1:4000/b/k/%C3%A9", object());
}

#[test]
fn a_bucket_is_made_where_the_endpoint_is() {
    let check = |region: &str, body: &str, status: u16, code: &str| {
        let scope = format!("AWS4-HMAC-SHA256 Credential=A/20260301/{region}/s3/aws4_request, x=y");
        let request = http::Request::put(format!("https://s3.{region}.amazonaws.com/tube-questions"))
            .header("authorization", scope)
            .body(Bytes::from(body.to_owned()))
            .unwrap();
        let answer = World::new().send(request);
        assert_eq!(answer.status, status, "{region}: {}", answer.text);
        answer.has(code);
    };
    check("eu-west-1", CREATE, 200, "");
    check("us-east-1", "", 200, "");
    check("eu-west-1", "", 400, "IllegalLocationConstraintException");
    check("eu-central-1", CREATE, 400, "IllegalLocationConstraintException");
    check(
        "eu-west-1",
        "<CreateBucketConfiguration><Colour/></CreateBucketConfiguration>",
        400,
        "MalformedXML",
    );
}

#[test]
fn a_bucket_has_one_owner_and_goes_when_it_is_empty() {
    let mut world = world();
    call(&mut world, "PUT", "/tube-questions", CREATE).refused(409, "BucketAlreadyOwnedByYou");
    call(&mut world, "PUT", "/Tube", CREATE).refused(400, "InvalidBucketName");
    call(&mut world, "GET", "/", "").ok().has("<Name>tube-questions</Name>");
    call(&mut world, "PUT", "/tube-questions/a", "hello").ok();
    call(&mut world, "DELETE", "/tube-questions", "").refused(409, "BucketNotEmpty");
    call(&mut world, "DELETE", "/tube-questions/a", "").ok();
    call(&mut world, "DELETE", "/tube-questions", "").ok();
    assert_eq!(call(&mut world, "HEAD", "/tube-questions", "").status, 404);
}

#[test]
fn what_is_set_on_a_bucket_is_read_again() {
    let mut world = world();
    call(&mut world, "GET", "/tube-questions?versioning", "")
        .ok()
        .lacks("Status");
    call(&mut world, "GET", "/tube-questions?tagging", "").refused(404, "NoSuchTagSet");
    call(&mut world, "GET", "/tube-questions?publicAccessBlock", "")
        .ok()
        .has("<BlockPublicAcls>true</BlockPublicAcls>");
    call(&mut world, "GET", "/tube-questions?encryption", "")
        .ok()
        .has("AES256");
    call(&mut world, "GET", "/tube-questions?location", "")
        .ok()
        .has("eu-west-1");
    let tags = "<Tagging><TagSet><Tag><Key>tubectl:stack</Key><Value>a &amp; b</Value></Tag></TagSet></Tagging>";
    call(&mut world, "PUT", "/tube-questions?tagging", tags).ok();
    call(&mut world, "GET", "/tube-questions?tagging", "")
        .ok()
        .has("<Value>a &amp; b</Value>");
    let block =
        "<PublicAccessBlockConfiguration><BlockPublicAcls>true</BlockPublicAcls></PublicAccessBlockConfiguration>";
    call(&mut world, "PUT", "/tube-questions?publicAccessBlock", block).ok();
    call(&mut world, "GET", "/tube-questions?publicAccessBlock", "")
        .ok()
        .has("<IgnorePublicAcls>false</IgnorePublicAcls>");
}

#[test]
fn an_object_comes_back_as_it_was() {
    let mut world = world();
    let put = with(
        &mut world,
        "PUT",
        "/tube-questions/a/b.json?x-id=PutObject",
        &[("content-type", "application/json"), ("x-amz-meta-who", "me")],
        "{}",
    );
    assert_eq!(put.headers()["etag"], "\"99914b932bd37a50b983c5e7c90ae93b\"");
    let get = with(&mut world, "GET", "/tube-questions/a/b.json", &[], "");
    assert_eq!(get.body()[..], b"{}"[..]);
    assert_eq!(get.headers()["content-type"], "application/json");
    assert_eq!(get.headers()["x-amz-meta-who"], "me");
    let head = with(&mut world, "HEAD", "/tube-questions/a/b.json", &[], "");
    assert_eq!(
        (head.headers()["content-length"].to_str().unwrap(), head.body().len()),
        ("2", 0)
    );
    let part = with(
        &mut world,
        "GET",
        "/tube-questions/a/b.json",
        &[("range", "bytes=1-")],
        "",
    );
    assert_eq!((part.status().as_u16(), &part.body()[..]), (206, &b"}"[..]));
}

#[test]
fn writes_keep_their_conditions() {
    let mut world = world();
    let mut check = |header: (&str, &str), status: u16| {
        let put = with(&mut world, "PUT", "/tube-questions/lock", &[header], "x");
        assert_eq!(put.status(), status, "{header:?}");
    };
    check(("if-match", "\"9dd4e461268c8034f5c8564e155c67a6\""), 404);
    check(("if-none-match", "*"), 200);
    check(("if-none-match", "*"), 412);
    check(("if-match", "\"other\""), 412);
    check(("if-match", "\"9dd4e461268c8034f5c8564e155c67a6\""), 200);
}

#[test]
fn versions_stay_until_each_is_deleted() {
    let mut world = world();
    let on = "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>";
    call(&mut world, "PUT", "/tube-questions?versioning", on).ok();
    let first = version(&with(&mut world, "PUT", "/tube-questions/a", &[], "one"));
    let second = version(&with(&mut world, "PUT", "/tube-questions/a", &[], "two"));
    let deleted = with(&mut world, "DELETE", "/tube-questions/a", &[], "");
    assert_eq!(deleted.headers()["x-amz-delete-marker"], "true");
    let marker = version(&deleted);
    call(&mut world, "GET", "/tube-questions/a", "").refused(404, "NoSuchKey");
    call(&mut world, "GET", &format!("/tube-questions/a?versionId={marker}"), "").refused(405, "MethodNotAllowed");
    let old = call(&mut world, "GET", &format!("/tube-questions/a?versionId={first}"), "").ok();
    assert_eq!(old.text, "one");
    call(&mut world, "GET", "/tube-questions?list-type=2", "")
        .ok()
        .has("<KeyCount>0</KeyCount>");
    call(&mut world, "DELETE", "/tube-questions", "").refused(409, "BucketNotEmpty");
    let page = call(&mut world, "GET", "/tube-questions?versions&max-keys=1", "").ok();
    page.has("<IsTruncated>true</IsTruncated>");
    assert_eq!(page.element("NextVersionIdMarker"), marker);
    let next = format!("/tube-questions?versions&max-keys=5&key-marker=a&version-id-marker={marker}");
    let rest = call(&mut world, "GET", &next, "").ok();
    assert_eq!(rest.elements("VersionId"), [&*second, &*first]);
    let all = [first, second, marker].map(|id| format!("<Object><Key>a</Key><VersionId>{id}</VersionId></Object>"));
    let body = format!("<Delete>{}</Delete>", all.concat());
    call(&mut world, "POST", "/tube-questions?delete", &body)
        .ok()
        .has("<Deleted>");
    call(&mut world, "DELETE", "/tube-questions", "").ok();
}

#[test]
fn lists_come_in_pages_and_in_folders() {
    let mut world = world();
    for key in ["a/1", "a/2", "b", "c"] {
        call(&mut world, "PUT", &format!("/tube-questions/{key}"), "x").ok();
    }
    let folders = call(&mut world, "GET", "/tube-questions?list-type=2&delimiter=/", "").ok();
    assert_eq!(folders.elements("Key"), ["b", "c"]);
    folders.has("<CommonPrefixes><Prefix>a/</Prefix></CommonPrefixes>");
    let page = call(&mut world, "GET", "/tube-questions?list-type=2&max-keys=3", "").ok();
    assert_eq!(page.elements("Key"), ["a/1", "a/2", "b"]);
    let token = page
        .element("NextContinuationToken")
        .replace('=', "%3D")
        .replace('+', "%2B");
    let next = format!("/tube-questions?list-type=2&continuation-token={token}");
    assert_eq!(call(&mut world, "GET", &next, "").ok().elements("Key"), ["c"]);
    let below = call(
        &mut world,
        "GET",
        "/tube-questions?list-type=2&prefix=a/&encoding-type=url",
        "",
    )
    .ok();
    assert_eq!(below.elements("Key"), ["a/1", "a/2"]);
}

#[test]
fn what_s3_does_not_know_is_refused() {
    let mut world = world();
    call(&mut world, "GET", "/tube-questions?list-type=2&colour=red", "").refused(400, "InvalidArgument");
    call(&mut world, "GET", "/tube-questions?website", "").refused(400, "UnknownOperationException");
    call(&mut world, "GET", "/none?list-type=2", "").refused(404, "NoSuchBucket");
    let acl = with(
        &mut world,
        "PUT",
        "/tube-questions/a",
        &[("x-amz-acl", "public-read")],
        "x",
    );
    assert_eq!(acl.status(), 400);
}
