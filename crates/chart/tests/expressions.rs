//! Templates and what they print, row by row.

use tubectl_chart::Chart;
use tubectl_chart::Options;
use tubectl_chart::Values;
use tubectl_chart::render;

const VALUES: &str = "
name: demo
empty: ''
zero: 0
count: 3
big: 1000000
ratio: 0.5
on: true
list: [a, b, c]
map: {b: 2, a: 1}
nothing: null
deep: {one: {two: {three: x}}}
";

fn print(template: &str) -> Result<String, String> {
    let files = [
        (
            "Chart.yaml",
            "apiVersion: v2\nname: t\nversion: 1.2.3\nappVersion: '4.5'\nannotations: {k: v}\n",
        ),
        ("values.yaml", VALUES),
        ("config/a.txt", "one\ntwo\n"),
        ("config/b.txt", "three"),
        (
            "templates/_helpers.tpl",
            "{{ define \"hello\" }}hello {{ .name }}{{ end }}{{ define \"self\" }}{{ . }}{{ end }}",
        ),
        ("templates/NOTES.txt", template),
    ];
    let files = files.map(|(name, text)| (name.to_owned(), text.as_bytes().to_vec()));
    let chart = Chart::from_files(files).map_err(|error| error.to_string())?;
    let rendered = render(&chart, &Values::default(), &Options::new("rel", "ns")).map_err(|error| error.to_string())?;
    Ok(rendered.notes.unwrap_or_default())
}

fn check(template: &str, expected: &str) {
    assert_eq!(print(template).as_deref(), Ok(expected), "{template}");
}

fn refuses(template: &str, expected: &str) {
    let error = print(template).expect_err(template);
    assert!(error.contains(expected), "{template}\n{error}\n{expected}");
}

#[test]
fn text_is_trimmed_as_markers_say() {
    check("a {{- 1 -}} b", "a1b");
    check("a {{1}} b", "a 1 b");
    check("a\n  {{- /* gone */ -}}\n b", "ab");
    check("a {{/* gone */}} b", "a  b");
    check("{{ \"x\" -}}\n\n  y", "xy");
}

#[test]
fn constants_are_typed() {
    check(
        "{{ 1 }} {{ 0x1F }} {{ 1_000 }} {{ 1.0 }} {{ 1e3 }} {{ 1000000.0 }} {{ 0x1p-2 }} {{ 'a' }}",
        "1 31 1000 1 1000 1e+06 0.25 97",
    );
    check(
        "{{ typeOf 1 }} {{ typeOf 1.5 }} {{ typeOf .Values.count }} {{ typeOf (int64 1) }}",
        "int float64 float64 int64",
    );
    check(
        "{{ `raw \\n` }} {{ \"tab\\tq\\\"\\u00e9\\x41\" }}",
        "raw \\n tab\tq\"éA",
    );
}

#[test]
fn values_print_as_go_prints_them() {
    check(
        "{{ .Values.map }} {{ .Values.list }} {{ .Values.big }}",
        "map[a:1 b:2] [a b c] 1e+06",
    );
    check("[{{ .Values.missing }}] {{ list 1 nil \"a\" }}", "[] [1 <nil> a]");
    check(
        "{{ print 1 2 \"a\" \"b\" 3 }}|{{ println 1 \"a\" }}",
        "1 2a b3|1 a\n".replace("a b", "ab").as_str(),
    );
}

#[test]
fn pipelines_pass_the_last_argument() {
    check("{{ .Values.name | upper | quote }}", "\"DEMO\"");
    check("{{ \"x\" | default \"y\" }}{{ \"\" | default \"y\" }}", "xy");
    check("{{ 5 | printf \"%03d-%s\" 7 }}", "007-%!s(int=5)");
}

#[test]
fn variables_live_in_their_block() {
    check("{{ $x := 1 }}{{ if true }}{{ $x := 2 }}{{ $x }}{{ end }}{{ $x }}", "21");
    check("{{ $x := 1 }}{{ if true }}{{ $x = 2 }}{{ end }}{{ $x }}", "2");
    check("{{ with $y := .Values.name }}{{ $y }}{{ . }}{{ end }}", "demodemo");
    refuses(
        "{{ $x }}",
        "parse error at (t/templates/NOTES.txt:1): undefined variable \"$x\"",
    );
    refuses("{{ if true }}{{ $x := 1 }}{{ end }}{{ $x }}", "undefined variable");
}

#[test]
fn ranges_walk_lists_maps_and_counts() {
    check("{{ range .Values.list }}{{ . }}{{ end }}", "abc");
    check("{{ range $i, $v := .Values.list }}{{ $i }}{{ $v }}{{ end }}", "0a1b2c");
    check(
        "{{ range $k, $v := .Values.map }}{{ $k }}={{ $v }};{{ end }}",
        "a=1;b=2;",
    );
    check("{{ range 3 }}{{ . }}{{ end }}", "012");
    check("{{ range .Values.nothing }}x{{ else }}none{{ end }}", "none");
    check(
        "{{ range $i, $v := .Values.list }}{{ if eq $i 1 }}{{ continue }}{{ end }}{{ $v }}{{ end }}",
        "ac",
    );
    check(
        "{{ range .Values.list }}{{ if eq . \"b\" }}{{ break }}{{ end }}{{ . }}{{ end }}",
        "a",
    );
    check(
        "{{ $last := \"\" }}{{ range $last = .Values.list }}{{ end }}{{ $last }}",
        "c",
    );
    refuses("{{ range .Values.name }}{{ end }}", "range can't iterate over demo");
}

#[test]
fn branches_follow_truth() {
    check(
        "{{ if .Values.empty }}a{{ else if .Values.zero }}b{{ else }}c{{ end }}",
        "c",
    );
    check(
        "{{ with .Values.missing }}a{{ else with .Values.name }}{{ . }}{{ else }}c{{ end }}",
        "demo",
    );
    check(
        "{{ and 1 0 2 }} {{ or 0 \"\" 2 }} {{ not 0 }} {{ or .Values.missing \"x\" }}",
        "0 2 true x",
    );
    check("{{ or true (fail \"not reached\") }}", "true");
}

#[test]
fn comparisons_are_strict() {
    check(
        "{{ eq 1 1 }} {{ eq \"a\" \"b\" \"a\" }} {{ lt 1 2 }} {{ ge \"b\" \"a\" }} {{ ne 1 2 }}",
        "true true true true true",
    );
    check("{{ eq .Values.missing \"a\" }}", "false");
    refuses(
        "{{ eq 1 1.0 }}",
        "error calling eq: incompatible types for comparison: int and float64",
    );
    refuses(
        "{{ eq .Values.count 3 }}",
        "incompatible types for comparison: float64 and int",
    );
    refuses("{{ lt true false }}", "invalid type for comparison");
}

#[test]
fn fields_of_nothing_are_an_error_and_of_no_value_are_not() {
    refuses(
        "{{ .Values.missing.deeper }}",
        "template: t/templates/NOTES.txt:1:10: executing \"t/templates/NOTES.txt\" at <.Values.missing.deeper>: \
         nil pointer evaluating interface {}.deeper",
    );
    check("{{ $x := .Values.missing }}[{{ $x.deeper }}]", "[]");
    check("[{{ (index .Values \"missing\").deeper }}]", "[]");
    refuses("{{ .Values.name.x }}", "can't evaluate field x in type string");
    refuses(
        "{{ .Chart.Nothing }}",
        "can't evaluate field Nothing in type struct { chart.Metadata; IsRoot bool }",
    );
}

#[test]
fn templates_include_each_other() {
    check(
        "{{ include \"hello\" .Values }}{{ template \"self\" 1 }}",
        "hello demo1",
    );
    check(
        "{{ include \"hello\" (dict \"name\" \"x\") | nindent 2 }}",
        "\n  hello x",
    );
    check(
        "{{ define \"a\" }}{{ range . }}{{ include \"self\" . }}{{ end }}{{ end }}{{ include \"a\" .Values.list }}",
        "abc",
    );
    check("{{ block \"b\" 5 }}<{{ . }}>{{ end }}", "<5>");
    refuses(
        "{{ include \"none\" . }}",
        "error calling include: template: no template \"none\" associated with template \"gotpl\"",
    );
    refuses(
        "{{ define \"r\" }}{{ include \"r\" . }}{{ end }}{{ include \"r\" . }}",
        "rendering template has a nested reference name: r",
    );
}

#[test]
fn tpl_runs_text_as_a_template() {
    check("{{ tpl \"{{ .Values.name }}!\" . }}", "demo!");
    check(
        "{{ tpl \"{{ define \\\"in\\\" }}i{{ end }}{{ include \\\"in\\\" . }}\" . }}",
        "i",
    );
    check("[{{ tpl \"{{ .Values.nothing }}\" . }}]", "[]");
    refuses("{{ tpl \"{{ nope }}\" . }}", "function \"nope\" not defined");
}

#[test]
fn charts_may_refuse() {
    refuses(
        "{{ fail \"no way\" }}",
        "execution error at (t/templates/NOTES.txt:1:3): no way",
    );
    refuses(
        "\n  {{ required \"need it\" .Values.empty }}",
        "execution error at (t/templates/NOTES.txt:2:5): need it",
    );
    check("{{ required \"need it\" .Values.zero }}", "0");
}

#[test]
fn functions_check_their_arguments() {
    refuses(
        "{{ until .Values.count }}",
        "wrong type for value; expected int; got float64",
    );
    refuses(
        "{{ upper .Values.missing }}",
        "wrong type for value; expected string; got interface {}",
    );
    refuses("{{ upper 1 }}", "expected string; found 1");
    refuses(
        "{{ upper \"a\" \"b\" }}",
        "wrong number of args for upper: want 1 got 2",
    );
    refuses("{{ nothere 1 }}", "function \"nothere\" not defined");
    refuses("{{ env \"HOME\" }}", "function \"env\" not defined");
    refuses("{{ 1 | 2 }}", "non executable command in pipeline stage 2");
}

#[test]
fn strings() {
    let rows = [
        ("trunc 3 \"abcdef\"", "abc"),
        ("trunc -2 \"abcdef\"", "ef"),
        ("trimSuffix \"-\" \"a-\"", "a"),
        ("trimAll \"$\" \"$5$\"", "5"),
        ("replace \".\" \"-\" \"a.b.c\"", "a-b-c"),
        ("nospace \" a b \"", "ab"),
        ("title \"hello big-world\"", "Hello Big-World"),
        ("untitle \"Hello World\"", "hello world"),
        ("snakecase \"FirstName\"", "first_name"),
        ("kebabcase \"FirstName\"", "first-name"),
        ("camelcase \"http_server\"", "HttpServer"),
        ("substr 1 3 \"abcdef\"", "bc"),
        ("repeat 3 \"ab\"", "ababab"),
        ("contains \"b\" \"abc\"", "true"),
        ("hasPrefix \"a\" \"abc\"", "true"),
        ("quote \"a\\\"b\" nil 1", "\"a\\\"b\" \"1\""),
        ("squote \"a\" 1", "'a' '1'"),
        ("cat 1 nil \"a\"", "1 a"),
        ("indent 2 \"a\\n\\nb\"", "  a\n  \n  b"),
        ("splitList \".\" \"a.b\"", "[a b]"),
        ("(split \".\" \"a.b\")._1", "b"),
        ("join \"-\" (list 1 nil \"x\" true)", "1-x-true"),
        ("plural \"one\" \"many\" 1", "one"),
        ("abbrev 5 \"hello world\"", "he..."),
        ("wrap 5 \"aaa bbb ccc\"", "aaa\nbbb\nccc"),
        ("initials \"First Try\"", "FT"),
        ("ternary \"a\" \"b\" true", "a"),
        ("b64enc \"hi\"", "aGk="),
        ("b64dec \"aGk=\"", "hi"),
        ("b32enc \"hi\"", "NBUQ===="),
        (
            "sha256sum \"a\"",
            "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb",
        ),
        ("sha1sum \"a\"", "86f7e437faa5a7fce15d1ddcb9eaeaea377667b8"),
        ("adler32sum \"hello\"", "103547413"),
        (
            "printf \"%5.2f|%-4s|%04d|%x|%q|%v|%t|%T\" 3.14159 \"a\" 7 255 \"q\" (list 1) true 1",
            " 3.14|a   |0007|ff|\"q\"|[1]|true|int",
        ),
        ("printf \"%d %s\" \"x\"", "%!d(string=x) %!s(MISSING)"),
        ("printf \"%s\" 1 2", "%!s(int=1)%!(EXTRA int=2)"),
        ("regexReplaceAll \"a(x*)b\" \"-ab-axxb-\" \"${1}W\"", "-W-xxW-"),
        ("regexMatch \"^[a-z]+$\" \"abc\"", "true"),
        ("regexFindAll \"[2,4,6,8]\" \"123456789\" -1", "[2 4 6 8]"),
        ("regexSplit \"z+\" \"pizza\" -1", "[pi a]"),
        ("regexQuoteMeta \"1.2\"", "1\\.2"),
        (
            "urlJoin (dict \"scheme\" \"http\" \"host\" \"h:80\" \"path\" \"/p\" \"query\" \"q=1\")",
            "http://h:80/p?q=1",
        ),
        ("(urlParse \"http://u@h:80/p?q#f\").host", "h:80"),
        ("base \"a/b.txt\"", "b.txt"),
        ("clean \"/a/../b/./c\"", "/b/c"),
        ("ext \"a.tar.gz\"", ".gz"),
    ];
    for (expression, expected) in rows {
        check(&format!("{{{{ {expression} }}}}"), expected);
    }
}

#[test]
fn lists_and_maps() {
    let rows = [
        ("list 1 2 | first", "1"),
        ("append (list 1) 2", "[1 2]"),
        ("prepend (list 1) 2", "[2 1]"),
        ("concat (list 1) (list 2 3)", "[1 2 3]"),
        ("uniq (list 1 1 2)", "[1 2]"),
        ("without (list 1 2 3) 2", "[1 3]"),
        ("has 2 (list 1 2)", "true"),
        ("slice (list 1 2 3) 1 2", "[2]"),
        ("rest (list 1 2 3)", "[2 3]"),
        ("initial (list 1 2 3)", "[1 2]"),
        ("last (list 1 2 3)", "3"),
        ("reverse (list 1 2 3)", "[3 2 1]"),
        ("compact (list 1 0 \"\" 2)", "[1 2]"),
        ("chunk 2 (list 1 2 3)", "[[1 2] [3]]"),
        ("sortAlpha (list \"b\" \"a\")", "[a b]"),
        ("until 3", "[0 1 2]"),
        ("untilStep 3 9 3", "[3 6]"),
        ("seq 1 2 7", "1 3 5 7"),
        ("dict \"a\" 1 \"b\"", "map[a:1 b:]"),
        ("get (dict \"a\" 1) \"b\"", ""),
        ("hasKey (dict \"a\" 1) \"a\"", "true"),
        ("keys (dict \"b\" 1 \"a\" 2) | sortAlpha", "[a b]"),
        ("pick (dict \"a\" 1 \"b\" 2) \"a\"", "map[a:1]"),
        ("omit (dict \"a\" 1 \"b\" 2) \"a\"", "map[b:2]"),
        ("pluck \"a\" (dict \"a\" 1) (dict \"a\" 2)", "[1 2]"),
        (
            "merge (dict \"a\" 1 \"m\" (dict \"x\" 1)) (dict \"a\" 2 \"b\" 3 \"m\" (dict \"y\" 2))",
            "map[a:1 b:3 m:map[x:1 y:2]]",
        ),
        ("merge (dict \"a\" false) (dict \"a\" true)", "map[a:true]"),
        (
            "mergeOverwrite (dict \"a\" 1 \"l\" (list 1)) (dict \"a\" 2 \"l\" (list 2))",
            "map[a:2 l:[2]]",
        ),
        (
            "dig \"one\" \"two\" \"no\" (dict \"one\" (dict \"two\" \"yes\"))",
            "yes",
        ),
        ("dig \"one\" \"x\" \"no\" (dict \"one\" (dict \"two\" \"yes\"))", "no"),
        ("index .Values.map \"a\"", "1"),
        ("index .Values.list 1", "b"),
        ("index .Values.deep \"one\" \"two\" \"three\"", "x"),
        ("len .Values.list", "3"),
        ("deepEqual (list 1) (list 1)", "true"),
        ("kindOf .Values.map", "map"),
        ("typeOf .Values", "chartutil.Values"),
        ("typeOf .Values.map", "map[string]interface {}"),
        ("kindIs \"slice\" .Values.list", "true"),
    ];
    for (expression, expected) in rows {
        check(&format!("{{{{ {expression} }}}}"), expected);
    }
}

#[test]
fn maps_are_shared_and_mutable() {
    check(
        "{{ $m := dict \"a\" 1 }}{{ $n := $m }}{{ $_ := set $n \"b\" 2 }}{{ $m }}",
        "map[a:1 b:2]",
    );
    check(
        "{{ $m := dict \"in\" (dict) }}{{ $c := deepCopy $m }}{{ $_ := set $c.in \"x\" 1 }}{{ $m }} {{ $c }}",
        "map[in:map[]] map[in:map[x:1]]",
    );
    check("{{ $_ := set .Values \"added\" 1 }}{{ .Values.added }}", "1");
    check("{{ $m := dict \"a\" 1 }}{{ $_ := unset $m \"a\" }}{{ $m }}", "map[]");
    check("{{ $m := dict }}{{ $_ := set $m \"me\" $m }}{{ len (toYaml $m) }}", "0");
}

#[test]
fn arithmetic() {
    let rows = [
        ("add 1 \"2\" 3.9", "6"),
        ("sub 5 2", "3"),
        ("mul 2 3 4", "24"),
        ("div 7 2", "3"),
        ("mod 7 2", "1"),
        ("add1 1", "2"),
        ("max 1 3 2", "3"),
        ("min 1 3 2", "1"),
        ("floor 1.9", "1"),
        ("ceil 1.1", "2"),
        ("round 123.555555 3", "123.556"),
        ("addf 0.1 0.2", "0.3"),
        ("mulf 1.1 3", "3.3"),
        ("divf 10 4", "2.5"),
        ("int \"0x10\"", "16"),
        ("int \"12.000\"", "12"),
        ("int \"abc\"", "0"),
        ("float64 \"1.5\"", "1.5"),
        ("toDecimal \"0777\"", "511"),
    ];
    for (expression, expected) in rows {
        check(&format!("{{{{ {expression} }}}}"), expected);
    }
    refuses("{{ div 1 0 }}", "integer divide by zero");
}

#[test]
fn data_is_written_and_read() {
    let rows = [
        (
            "toYaml (dict \"b\" (list 1 2.5) \"a\" \"yes\")",
            "a: \"yes\"\nb:\n- 1\n- 2.5",
        ),
        ("toYamlPretty (dict \"b\" (list 1))", "b:\n  - 1"),
        (
            "toJson (dict \"a\" \"<&>\" \"n\" nil)",
            "{\"a\":\"\\u003c\\u0026\\u003e\",\"n\":null}",
        ),
        ("toRawJson \"<\"", "\"<\""),
        ("toPrettyJson (dict \"a\" (list 1))", "{\n  \"a\": [\n    1\n  ]\n}"),
        ("fromYaml \"a: yes\\nb: 0755\"", "map[a:true b:493]"),
        ("fromYamlArray \"- 1\\n- a\"", "[1 a]"),
        ("fromJson \"{\\\"a\\\": [1]}\"", "map[a:[1]]"),
        (
            "(fromYaml \"- a\").Error",
            "error unmarshaling JSON: while decoding JSON: json: cannot unmarshal array into Go value of type map[string]interface {}",
        ),
    ];
    for (expression, expected) in rows {
        check(&format!("{{{{ {expression} }}}}"), expected);
    }
}

#[test]
fn objects_of_helm() {
    let rows = [
        (".Release.Name", "rel"),
        (".Release.Namespace", "ns"),
        (".Release.IsInstall", "true"),
        (".Release.Revision", "1"),
        (".Release.Service", "Helm"),
        (".Chart.Name", "t"),
        (".Chart.AppVersion", "4.5"),
        (".Chart.Annotations.k", "v"),
        (".Chart.IsRoot", "true"),
        (".Template.Name", "t/templates/NOTES.txt"),
        (".Template.BasePath", "t/templates"),
        (".Capabilities.KubeVersion.Minor", "36"),
        (".Capabilities.KubeVersion", "v1.36.0"),
        (".Capabilities.APIVersions.Has \"apps/v1\"", "true"),
        (".Files.Get \"config/b.txt\"", "three"),
        (".Files.Lines \"config/a.txt\"", "[one two]"),
        (
            "(.Files.Glob \"config/*\").AsConfig",
            "a.txt: |\n  one\n  two\nb.txt: three",
        ),
        ("(.Files.Glob \"config/b*\").AsSecrets", "b.txt: dGhyZWU="),
        ("semverCompare \">=1.21-0\" \"v1.33.4-eks-abc\"", "true"),
        ("semverCompare \">=1.21\" \"v1.33.4-eks-abc\"", "false"),
        ("(semver \"v1.2.3-beta+x\").Prerelease", "beta"),
        ("lookup \"v1\" \"Secret\" \"ns\" \"s\"", "map[]"),
        ("len (randAlphaNum 12)", "12"),
        ("date \"2006-01-02\" now", "1970-01-01"),
        (
            "dateInZone \"Mon Jan _2 15:04:05 MST 2006\" 86400 \"UTC\"",
            "Fri Jan  2 00:00:00 UTC 1970",
        ),
    ];
    for (expression, expected) in rows {
        check(&format!("{{{{ {expression} }}}}"), expected);
    }
}

#[test]
fn strings_keep_their_bytes() {
    check(
        "{{ \"gIH/\" | b64dec | b64enc }} {{ \"gIH/\" | b64dec | len }}",
        "gIH/ 3",
    );
    check(
        "{{ trunc 1 \"é\" | b64enc }} {{ eq (b64dec \"gA==\") (b64dec \"gA==\") }}",
        "ww== true",
    );
    check(
        "{{ \"gIH/\" | b64dec | sha1sum }}",
        "281a172aa89970c5bd8f3f368fbcfb0fbdf70100",
    );
}

#[test]
fn passwords_are_hashed_with_a_salt_from_the_seed() {
    let printed = print("{{ htpasswd \"me\" \"secret\" }}").unwrap();
    assert!(printed.starts_with("me:$2a$10$") && printed.len() == 63, "{printed}");
    check("{{ htpasswd \"a:b\" \"x\" }}", "invalid username: a:b");
}

#[test]
fn the_same_seed_gives_the_same_bytes() {
    let template = "{{ randAlphaNum 20 }} {{ uuidv4 }} {{ randInt 0 1000 }} {{ shuffle \"abcdef\" }}";
    assert_eq!(print(template), print(template));
}
