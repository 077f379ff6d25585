//! No template, however broken, takes the program down.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use proptest::prelude::Strategy;
use proptest::prelude::any;
use proptest::prop_oneof;
use proptest::proptest;
use tubectl_chart::Chart;
use tubectl_chart::Options;
use tubectl_chart::Values;
use tubectl_chart::render;

const WORDS: &[&str] = &[
    "{{",
    "}}",
    "{{-",
    "-}}",
    " ",
    "|",
    "(",
    ")",
    ".",
    "$",
    "$x",
    ":=",
    "=",
    ",",
    "if",
    "else",
    "end",
    "range",
    "with",
    "define",
    "block",
    "template",
    "include",
    "tpl",
    "\"a\"",
    "`b`",
    "'c'",
    "1",
    "-1",
    "2.5",
    "0x1p3",
    "nil",
    "true",
    ".Values",
    ".Values.a",
    ".x",
    "printf",
    "\"%d%s%v%q\"",
    "list",
    "dict",
    "set",
    "toYaml",
    "fromYaml",
    "index",
    "slice",
    "trunc",
    "substr",
    "splitn",
    "regexMatch",
    "\"[\"",
    "until",
    "add",
    "div",
    "mod",
    "merge",
    "dig",
    "eq",
    "lt",
    "and",
    "or",
    "not",
    "quote",
    "indent",
    "nindent",
    "wrap",
    "abbrev",
    "date",
    "semverCompare",
    "round",
    "chunk",
    "break",
    "continue",
    "\n",
    "é",
];

fn soup() -> impl Strategy<Value = String> {
    let word = proptest::sample::select(WORDS).prop_map(str::to_owned);
    let action =
        proptest::collection::vec(word.clone(), 1..8).prop_map(|words| format!("{{{{ {} }}}}", words.join(" ")));
    let part = prop_oneof![3 => action, 1 => word, 1 => "\\PC{0,6}"];
    proptest::collection::vec(part, 0..12).prop_map(|parts| parts.concat())
}

fn attempt(template: &str, values: &str) {
    let files = [
        ("Chart.yaml", "apiVersion: v2\nname: c\nversion: 1.0.0\n"),
        ("values.yaml", "a: {b: [1, x]}\n"),
        ("templates/t.yaml", template),
    ];
    let chart = Chart::from_files(files.map(|(name, text)| (name.to_owned(), text.into()))).unwrap();
    let mut given = Values::default();
    drop(given.set(values));
    drop(render(&chart, &given, &Options::new("r", "n")));
}

proptest! {
    #[test]
    fn templates_never_panic(template in soup()) {
        attempt(&template, "");
    }

    #[test]
    fn functions_never_panic(name in proptest::sample::select(WORDS), one in any::<i64>(), two in "\\PC{0,9}", three in any::<i8>()) {
        attempt(&format!("{{{{ {name} {one} {two:?} {three} }}}}{{{{ {name} {three} {two:?} }}}}{{{{ {name} {two:?} {one} }}}}"), "");
        attempt(&format!("{{{{ {name} {three} {three} {two:?} }}}}{{{{ {name} {two:?} {two:?} }}}}{{{{ {name} {two:?} }}}}"), "");
    }

    #[test]
    fn set_never_panics(text in "[a-c.=,{}\\[\\]0-9\\\\]{0,20}") {
        attempt("{{ .Values }}", &text);
    }

    #[test]
    fn archives_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        drop(Chart::from_archive(&bytes));
        let mut packed = b"\x1f\x8b\x08\0\0\0\0\0\0\xff".to_vec();
        packed.extend(bytes);
        drop(Chart::from_archive(&packed));
    }
}
