//! What plain text means, row by row.

use serde_json::Value as Json;
use serde_json::json;
use tubectl_yaml::parse;
use tubectl_yaml::parse_all;

fn check(input: &str, expected: &Json) {
    match parse(input) {
        Ok(value) => assert_eq!(&Json::from(value), expected, "{input}"),
        Err(error) => panic!("{input}: {error}"),
    }
}

#[test]
fn scalars_mean_what_go_says() {
    let rows = [
        ("yes", json!(true)),
        ("NO", json!(false)),
        ("On", json!(true)),
        ("y", json!(true)),
        ("nO", json!("nO")),
        ("TrUe", json!("TrUe")),
        ("~", json!(null)),
        ("Null", json!(null)),
        ("", json!(null)),
        ("0755", json!(493)),
        ("0o17", json!(15)),
        ("08", json!(8.0)),
        ("0x1F", json!(31)),
        ("0b11", json!(3)),
        ("-0b11", json!(-3)),
        ("1_000", json!(1000)),
        ("1__0", json!(10)),
        ("+5", json!(5)),
        ("18446744073709551615", json!(18_446_744_073_709_551_615_u64)),
        ("1e3", json!(1000.0)),
        ("1.", json!(1.0)),
        (".5", json!(0.5)),
        ("1e999", json!("1e999")),
        ("+-1", json!("+-1")),
        ("1:30", json!("1:30")),
        ("2001-01-01", json!("2001-01-01")),
        ("'1'", json!("1")),
        ("!!str 1", json!("1")),
        ("!!float 3", json!(3.0)),
        ("!!binary aGk=", json!("hi")),
        ("!custom x", json!("x")),
    ];
    for (input, expected) in rows {
        check(&format!("a: {input}\n"), &json!({ "a": expected }));
    }
}

#[test]
fn keys_become_text() {
    check(
        "1: a\ntrue: b\n1.5: c\nyes: d\n",
        &json!({"1": "a", "true": "d", "1.5": "c"}),
    );
}

#[test]
fn the_last_of_equal_keys_wins() {
    check("a: 1\na: 2\n", &json!({"a": 2}));
}

#[test]
fn a_merge_key_merges_where_it_stands() {
    check(
        "base: &b {x: 1, w: 2}\nc:\n  <<: *b\n  w: 3\n",
        &json!({"base": {"x": 1, "w": 2}, "c": {"x": 1, "w": 3}}),
    );
    check(
        "a: &a {x: 1}\nb: &b {x: 2, z: 2}\nc:\n  <<: [*a, *b]\n",
        &json!({"a": {"x": 1}, "b": {"x": 2, "z": 2}, "c": {"x": 1, "z": 2}}),
    );
    check("'<<': {x: 1}\n", &json!({"<<": {"x": 1}}));
}

#[test]
fn documents_are_read_one_after_the_other() {
    let all = parse_all("a: 1\n---\n---\nb: 2\n").unwrap();
    assert_eq!(
        all.into_iter().map(Json::from).collect::<Vec<_>>(),
        [json!({"a": 1}), json!(null), json!({"b": 2})]
    );
}

#[test]
fn an_empty_text_is_null() {
    check("", &json!(null));
    check("# nothing\n", &json!(null));
}

#[test]
fn errors_carry_line_and_column() {
    let error = parse("a: 1\nb: [1, 2\n").unwrap_err();
    assert!(error.line >= 2, "{error}");
    let error = parse("a: 1\n<<: 3\n").unwrap_err();
    assert_eq!(
        error.to_string(),
        "line 2, column 5: map merge requires map or sequence of maps as the value"
    );
    let error = parse("? [a]\n: b\n").unwrap_err();
    assert!(error.message.contains("a key must be text"), "{error}");
}

#[test]
fn aliases_that_explode_are_refused() {
    let mut lines = vec!["a0: &a0 [x, x, x, x, x, x, x, x, x, x]".to_owned()];
    for level in 1..10 {
        let aliases = vec![format!("*a{}", level - 1); 10].join(", ");
        lines.push(format!("a{level}: &a{level} [{aliases}]"));
    }
    let text = lines.join("\n");
    assert!(parse(&text).unwrap_err().message.contains("excessive"));
}

#[test]
fn nesting_without_end_is_refused() {
    assert!(parse(&"[".repeat(20_000)).is_err());
    assert!(parse(&"- ".repeat(20_000)).is_err());
}
