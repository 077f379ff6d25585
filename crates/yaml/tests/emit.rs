//! The bytes that Go prints, row by row.

use serde_json::Value as Json;
use serde_json::json;
use tubectl_yaml::Value;
use tubectl_yaml::emit;
use tubectl_yaml::parse;

fn check(value: Json, expected: &str) {
    assert_eq!(emit(&Value::from(value)), expected);
}

#[test]
fn text_is_quoted_only_where_it_would_be_misread() {
    let rows = [
        ("plain", "plain"),
        ("", "\"\""),
        ("yes", "\"yes\""),
        ("y", "\"y\""),
        ("1", "\"1\""),
        ("1e3", "\"1e3\""),
        ("0x1", "\"0x1\""),
        ("1:30", "\"1:30\""),
        ("2001-01-01", "\"2001-01-01\""),
        ("~", "\"~\""),
        ("<<", "\"<<\""),
        ("a: b", "'a: b'"),
        ("a #b", "'a #b'"),
        ("a#b", "a#b"),
        ("@x", "'@x'"),
        ("*", "'*'"),
        ("- x", "'- x'"),
        ("-x", "-x"),
        ("it's", "it's"),
        ("'it", "'''it'"),
        (" a", "' a'"),
        ("a\tb", "\"a\\tb\""),
        ("\u{1f600}", "\"\\U0001F600\""),
        ("é", "é"),
        ("a\n", "|\n    a"),
        ("a\nb", "|-\n    a\n    b"),
        ("a\n\n", "|+\n    a\n"),
        (" a\nb", "|2-\n     a\n    b"),
        ("a \nb", "\"a \\nb\""),
        ("{{ x }}", "'{{ x }}'"),
    ];
    for (text, expected) in rows {
        check(json!({"k": {"v": text}}), &format!("k:\n  v: {expected}\n"));
    }
}

#[test]
fn collections_are_laid_out_as_go_lays_them_out() {
    check(
        json!({"b": [1, {"x": 1, "y": [2, [3, 4], []]}, {}], "a": {"c": null}}),
        "a:\n  c: null\nb:\n- 1\n- x: 1\n  \"y\":\n  - 2\n  - - 3\n    - 4\n  - []\n- {}\n",
    );
    check(json!([]), "[]\n");
    check(json!("x"), "x\n");
    check(json!([["a"], {"b": ["c"]}]), "- - a\n- b:\n  - c\n");
}

#[test]
fn keys_are_in_natural_order() {
    check(
        json!({"a10": 1, "a2": 1, "A": 1, "b": 1, "a_b": 1, "ab": 1, "a-b": 1, "1": 1, "10": 1, "2": 1}),
        "\"1\": 1\n\"2\": 1\n\"10\": 1\nA: 1\na-b: 1\na_b: 1\na2: 1\na10: 1\nab: 1\nb: 1\n",
    );
}

#[test]
fn numbers_print_as_go_prints_them() {
    let rows = [
        (json!(1_000_000.0), "1000000"),
        (json!(1_234_567.5), "1.2345675e+06"),
        (json!(0.5), "0.5"),
        (json!(1e-7), "1e-07"),
        (json!(1e21), "1e+21"),
        (json!(18_446_744_073_709_551_615_u64), "18446744073709551615"),
        (json!(-3), "-3"),
    ];
    for (value, expected) in rows {
        check(value, &format!("{expected}\n"));
    }
}

#[test]
fn long_lines_are_folded_at_the_first_space_past_column_80() {
    let text = format!("{} tail", "word ".repeat(20).trim_end());
    check(
        json!({"k": text}),
        "k: word word word word word word word word word word word word word word word word\n  word word word word tail\n",
    );
}

#[test]
fn what_is_written_reads_back() {
    let value = parse("a: [1, 'yes', \"x\\ty\", {b: \"l1\\n  l2\\n\"}]\nc: ''\n").unwrap();
    assert_eq!(parse(&emit(&value)).unwrap(), value);
}
