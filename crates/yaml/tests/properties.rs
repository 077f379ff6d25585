//! No input makes the reader panic, and what is written reads back.

use std::collections::BTreeMap;

use proptest::collection::btree_map;
use proptest::collection::vec;
use proptest::prelude::Just;
use proptest::prelude::Strategy;
use proptest::prelude::any;
use proptest::prop_assert_eq;
use proptest::prop_oneof;
use proptest::proptest;
use tubectl_yaml::Value;
use tubectl_yaml::emit;
use tubectl_yaml::parse;
use tubectl_yaml::parse_all;

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[ a-z0-9:#'\"\\n\\t_.-]{0,20}",
        "(yes|on|0[0-9]{1,3}|1e3|~|null|- x|\\? x|: x)",
        "\\PC{0,12}"
    ]
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::Int),
        text().prop_map(Value::String),
    ];
    leaf.prop_recursive(4, 32, 5, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..5).prop_map(Value::List),
            btree_map(text(), inner, 0..5).prop_map(|map: BTreeMap<String, Value>| Value::Map(map)),
        ]
    })
}

proptest! {
    #[test]
    fn reading_never_panics(input in "([ \\n:#&*!|>'\"%@`{}\\[\\],?a-z0-9.-]{0,60}|\\PC{0,40})") {
        drop(parse_all(&input));
    }

    #[test]
    fn what_is_written_reads_back(value in value()) {
        let written = emit(&value);
        prop_assert_eq!(parse(&written).map_err(|error| format!("{error}\n{written}")), Ok(value));
    }
}
