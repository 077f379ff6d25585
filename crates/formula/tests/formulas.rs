//! Formulas as KEDA's users write them, and what expr makes of them.

use std::collections::BTreeMap;

use proptest::prelude::*;
use tubectl_formula::Formula;

fn values() -> BTreeMap<String, f64> {
    let values = [("running", 32.0), ("waiting", 18.0), ("zero", 0.0), ("half", 0.5)];
    values.map(|(name, value)| (name.to_owned(), value)).into()
}

fn check(source: &str, expected: &str) {
    let answer = match Formula::parse(source) {
        Err(error) => error.to_string(),
        Ok(formula) => match formula.evaluate(&values()) {
            Ok(value) => value.to_string(),
            Err(error) => error.to_string(),
        },
    };
    assert_eq!(answer, expected, "{source}");
}

fn check_problems(source: &str, expected: &[&str]) {
    let formula = Formula::parse(source).expect(source);
    let problems = formula.check(["running", "waiting"]);
    let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
    assert_eq!(problems, expected, "{source}");
}

#[test]
fn formulas_of_real_scaled_objects_have_the_values_keda_gives_them() {
    check("running + (waiting * 10)", "212");
    check("running + waiting*10", "212");
    check("max([running, waiting])", "32");
    check("(running + waiting) / 2", "25");
    check("count([running, waiting, zero], {# > 1}) > 1 ? 5.5 : running", "5.5");
    check("running > 2 ? running + waiting : 1.0", "50");
    check("missing ?? 7.0", "7");
}

#[test]
fn operators_bind_as_in_expr() {
    check("1.0 + 2 * 3", "7");
    check("2.0 * 3 ** 2", "18");
    check("-2.0 ** 2", "-4");
    check("2.0 ** 3 ** 2", "512");
    check("2.0 ^ 3", "8");
    check("10.0 - 4 - 3", "3");
    check("1 < 2 and 2 < 3 ? 1.0 : 0.0", "1");
    check("1 < 2 < 3 ? 1.0 : 0.0", "1");
    check("3 > 2 > 2 ? 1.0 : 0.0", "0");
    check("!(1 == 2) && not (2 == 3) ? 1.0 : 0.0", "1");
    check(
        "missing ?? 1.0 + running",
        "1:16: `+` cannot follow `??`; put parentheses around the `??` part",
    );
    check("running + missing ?? 1.0", "33");
    check("missing ?? zero ?? 3.0", "0");
    check("zero == 0 ? 1.0 : 2.0", "1");
    check("zero > 0 ? 1.0 : half > 0 ? 2.0 : 3.0", "2");
    check("3 not in [1, 2] ? 1.0 : 0.0", "1");
    check("2 in 1..3 ? 1.0 : 0.0", "1");
    check("true || missing > 1 ? 1.0 : 0.0", "1");
    check("let total = running + waiting; total * 2", "100");
    check(
        "if waiting > 0 { waiting } else if running > 0 { running } else { zero }",
        "18",
    );
    check("running // and nothing else\n + 1 /* one */", "33");
}

#[test]
fn functions_keep_or_change_the_kind_of_number_as_in_expr() {
    check("ceil(running / 25)", "2");
    check("floor(half)", "0");
    check("round(half)", "1");
    check("round(-0.5)", "-1");
    check("abs(zero - half)", "0.5");
    check("float(int(2.9))", "2");
    check("ceil(2)", "2");
    check("max(1, half, [running])", "32");
    check("min(1, half)", "0.5");
    check("mean(1, 2, [3, 6])", "3");
    check("mean([])", "0");
    check("median([3, 1, 2, 10])", "2.5");
    check("sum([running, waiting])", "50");
    check("sum([running, waiting], # * 2)", "100");
    check("[running, waiting] | sum()", "50");
    check("reduce([1.0, 2.0, 3.0], #acc + #)", "6");
    check("reduce([1, 2], #acc + # * #index, 0.5)", "2.5");
    check("float(len(filter([running, waiting, zero], # > 0)))", "2");
    check("map([half], # * 4)[0]", "2");
    check("[half, running][-1]", "32");
    check("find([running, waiting], # < 20)", "18");
    check(
        "all([running], # > 0) and none([zero], # > 0) and one([1, 2], # == 1) and any([1], true) ? 1.0 : 0.0",
        "1",
    );
    check("1_000.5 + 0x10 + .5 + 1e2", "1117");
    check("last(sort([3.0, 1.0])) - first(reverse([3.0, 1.0]))", "2");
}

#[test]
fn what_keda_would_fail_on_fails_here() {
    check(
        "5",
        "the formula gives an integer, and KEDA takes nothing but a float; wrap it in `float(..)`",
    );
    check(
        "len([1])",
        "the formula gives an integer, and KEDA takes nothing but a float; wrap it in `float(..)`",
    );
    check(
        "running > 1",
        "the formula gives a boolean, and KEDA takes nothing but a float; wrap it in `float(..)`",
    );
    check(
        "missing",
        "the formula gives nothing, and KEDA takes nothing but a float; wrap it in `float(..)`",
    );
    check("missing + 1", "1:9: `+` does not work on nothing and an integer");
    check("running % 2", "1:9: `%` does not work on a float and an integer");
    check("float(5 % 0)", "1:9: integer divide by zero");
    check(
        "running / zero",
        "the formula gives inf, which is no number to scale by",
    );
    check("running ? 1.0 : 2.0", "1:1: a condition must be a boolean, not a float");
    check("clamp_min(running, 1)", "1:1: there is no function `clamp_min`");
    check("[1.0][3]", "1:7: there is no element 3");
    check("float(sum(0..99999999))", "1:12: this range has too many elements");
    check("!running", "1:1: `!` does not work on a float");
}

#[test]
fn syntax_errors_say_where_and_what_was_expected() {
    check("", "1:1: expected a number, a name or `(`, found the end");
    check("running +", "1:10: expected a number, a name or `(`, found the end");
    check("(running", "1:9: expected `)`, found the end");
    check(
        "running waiting",
        "1:9: expected an operator or the end, found `waiting`",
    );
    check("running +\n  * 2", "2:3: expected a number, a name or `(`, found `*`");
    check(
        "running ? 1.0",
        "1:14: expected `:` and the value for the other case, found the end",
    );
    check("running = 1", "1:9: expected an operator or the end, found `=`");
    check("running @ 1", "1:9: `@` means nothing in a formula");
    check("12abc", "1:1: `12abc` is not a number");
    check(
        "\"text\"",
        "1:1: a scaling formula has no text, only the triggers' numbers",
    );
    check(
        "# > 1",
        "1:1: `#` stands for an element, and there is none here: use it inside `count`, `map` and their like",
    );
    check("abs(1, 2)", "1:1: `abs` takes one argument, not 2");
    check(
        "running contains 1",
        "1:9: `contains` works on text or maps; a scaling formula has only the triggers' numbers",
    );
    check("/* never", "1:1: this comment never ends; close it with `*/`");
    check("let = 1; 2", "1:5: expected a name, found `=`");
    let deep = "(".repeat(5000);
    check(&deep, "1:101: the formula is nested too deeply");
}

#[test]
fn checking_finds_every_problem_with_its_place() {
    check_problems("running + waiting * 10", &[]);
    check_problems("float(count([running, waiting], # > 1))", &[]);
    check_problems(
        "runing + waiting",
        &["1:1: no trigger is named `runing`; did you mean `running`?"],
    );
    check_problems(
        "clamp_min(current_queue * 50, 1)",
        &[
            "1:1: there is no function `clamp_min`",
            "1:11: no trigger is named `current_queue`",
        ],
    );
    check_problems(
        "cel(running)",
        &["1:1: there is no function `cel`; did you mean `ceil`?"],
    );
    check_problems(
        "running > 2 ? running : 1",
        &["1:25: this gives an integer, and KEDA takes nothing but a float; wrap it in `float(..)`"],
    );
    check_problems(
        "running > 2",
        &["1:9: this gives a boolean, and KEDA takes nothing but a float; wrap it in `float(..)`"],
    );
    check_problems(
        "running % 2",
        &["1:9: `%` does not work on a float and an integer; cut the fractions off with `int(..)`"],
    );
    check_problems(
        "(running > 1) + waiting",
        &["1:15: `+` does not work on a boolean and a float"],
    );
    check_problems(
        "running ? running : waiting",
        &["1:1: a condition takes a boolean, not a float"],
    );
    check_problems("sum(running)", &["1:1: `sum` does not work on a float"]);
    check_problems("let x = running; x * 2", &[]);
}

const NO_FLOAT: &str = "the formula gives an integer, and KEDA takes nothing but a float; wrap it in `float(..)`";

#[test]
fn integers_stay_integers_until_something_makes_a_float_of_them() {
    for (source, value) in [
        ("7 + 2", "9"),
        ("7 - 2", "5"),
        ("7 * 2", "14"),
        ("7 % 4", "3"),
        ("-7 % 4", "-3"),
        ("abs(-3)", "3"),
        ("+3", "3"),
        ("int(2.9)", "2"),
        ("int(3)", "3"),
        ("max(1, 2)", "2"),
        ("min(2, 1)", "1"),
        ("sum([1, 2])", "3"),
        ("last(1..4)", "4"),
        ("len(2..4)", "3"),
    ] {
        check(source, NO_FLOAT);
        check(&format!("float({source})"), value);
    }
    for (source, value) in [("7 / 2", "3.5"), ("2 ** 3", "8"), ("7 + 0.5", "7.5"), ("float(3)", "3")] {
        check(source, value);
    }
    // As floats these two are the same number.
    check("float(9007199254740993 - 9007199254740992)", "1");
}

#[test]
fn numbers_compare_by_value_whatever_their_kind() {
    let orders = [
        ("<", [true, false, false]),
        ("<=", [true, true, false]),
        (">", [false, false, true]),
    ];
    let more = [
        (">=", [false, true, true]),
        ("==", [false, true, false]),
        ("!=", [true, false, true]),
    ];
    // As floats the first two are the same number.
    let numbers = [
        ["9007199254740992", "9007199254740993", "9007199254740994"],
        ["1.5", "2.5", "3.5"],
        ["1", "2.0", "3"],
    ];
    for (operator, expected) in orders.into_iter().chain(more) {
        for row in numbers {
            for (left, holds) in row.into_iter().zip(expected) {
                let source = format!("{left} {operator} {} ? 1.0 : 0.0", row[1]);
                check(&source, if holds { "1" } else { "0" });
            }
        }
    }
    for (source, equal) in [
        ("[1, 2] == [1.0, 2.0]", "1"),
        ("[1, 2] == [1, 3]", "0"),
        ("[1] == [1, 2]", "0"),
        ("true == true", "1"),
        ("true == 1", "0"),
        ("missing == nil", "1"),
        ("2.0 in [1, 2]", "1"),
        ("5 in [1, 2]", "0"),
    ] {
        check(&format!("{source} ? 1.0 : 0.0"), equal);
    }
}

#[test]
fn predicates_ask_every_element_in_order() {
    for (source, value) in [
        ("findIndex([1, 5, 6], # > 2)", "1"),
        ("findIndex([1], # > 2)", "-1"),
        ("findLast([1.0, 5.0, 6.0, 2.0], # > 2)", "6"),
        ("find([1.0, 5.0, 6.0], # > 2)", "5"),
        ("find([1], # > 2) ?? 9", "9"),
        ("count([true, false, true])", "2"),
        ("all([1, 3], # > 1) ? 1 : 0", "0"),
        ("all([], # > 1) ? 1 : 0", "1"),
        ("any([1, 2], # > 2) ? 1 : 0", "0"),
        ("none([1, 3], # > 2) ? 1 : 0", "0"),
        ("one([2, 3], # > 1) ? 1 : 0", "0"),
        ("one([1, 0], # > 1) ? 1 : 0", "0"),
        ("sum(filter([1, 5, 6], # > 2))", "11"),
        ("sum(map([3, 4], #index))", "1"),
        ("sum([3, 4], # * #index)", "4"),
        ("reduce([4, 5], #acc * 10 + #)", "45"),
        ("reduce([4, 5], #acc * 10 + #, 1)", "145"),
        ("reduce([], #acc + #) ?? 7", "7"),
        ("count([1, 2], { # > 1 })", "1"),
        ("sum(map([[1, 2], [3]], len(#)))", "3"),
    ] {
        check(&format!("float({source})"), value);
    }
    check("count([1], #)", "1:12: a condition must be a boolean, not an integer");
    check("count([1])", "1:1: a condition must be a boolean, not an integer");
}

#[test]
fn functions_on_numbers_give_what_expr_gives() {
    for (source, value) in [
        ("abs(-2.5)", "2.5"),
        ("ceil(2.1)", "3"),
        ("floor(-2.1)", "-3"),
        ("round(2.5)", "3"),
        ("min(2, 1.5)", "1.5"),
        ("max(2, 2.5, [1, [3.5]])", "3.5"),
        ("median([5, 1, 3])", "3"),
        ("median([4, 1])", "2.5"),
        ("median([])", "0"),
        ("mean([1, 2, 6])", "3"),
        ("sort([3.0, 1.0, 2.0])[1]", "2"),
        ("reverse([3.0, 1.0])[0]", "1"),
        ("first([]) ?? 4.0", "4"),
        ("last([]) ?? 4.0", "4"),
        ("[1.0, 2.0][-2]", "1"),
        ("[1.0, 2.0][1]", "2"),
        ("0b101 + 0.0", "5"),
        ("0o17 + 0.0", "15"),
        ("0XfF + 0.0", "255"),
        ("1_000_000 + 0.0", "1000000"),
        ("1.5e+3", "1500"),
        ("15E-1", "1.5"),
        ("1_0.2_5", "10.25"),
        ("2.", "2"),
    ] {
        check(source, value);
    }
    for (source, refusal) in [
        ("sort([true])", "1:1: `sort` does not work on a boolean"),
        ("max([true])", "1:1: `max` does not work on a boolean"),
        ("mean(true)", "1:1: `mean` does not work on a boolean"),
        ("float(true)", "1:1: `float` does not work on a boolean"),
        ("float(len(1))", "1:7: `len` does not work on an integer"),
        ("sum(1)", "1:1: `sum` does not work on an integer"),
        ("-true", "1:1: `-` does not work on a boolean"),
        ("+[1]", "1:1: `+` does not work on an array"),
        ("1 in 2", "1:3: `in` does not work on an integer and an integer"),
        ("[1][1.0]", "1:5: `[` does not work on an array and a float"),
        ("[1.0][1]", "1:7: there is no element 1"),
        ("[1.0][-2]", "1:7: there is no element -2"),
        ("1.0..3", "1:4: `..` does not work on a float and an integer"),
        (
            "0 - running / zero",
            "the formula gives -inf, which is no number to scale by",
        ),
        (
            "1 and true ? 1.0 : 2.0",
            "1:1: a condition must be a boolean, not an integer",
        ),
    ] {
        check(source, refusal);
    }
}

#[test]
fn ranges_end_where_memory_would() {
    check("float(len(1..1000000))", "1000000");
    check("float(len(0..1000000))", "1000001");
    check("float(len(0..1000001))", "1:12: this range has too many elements");
    check("float(len(3..2))", "0");
}

#[test]
fn conditions_do_not_look_further_than_they_must() {
    check("false && missing > 1 ? 1.0 : 0.0", "0");
    check("true && false ? 1.0 : 0.0", "0");
    check("false || true ? 1.0 : 0.0", "1");
    check("false or false ? 1.0 : 0.0", "0");
    check(
        "running ?? missing + 1 > 0 ? 1.0 : 2.0",
        "1:20: `+` cannot follow `??`; put parentheses around the `??` part",
    );
    check("1 < 3 < 2 ? 1.0 : 0.0", "0");
    check("1 == 1 != 2 ? 1.0 : 0.0", "1");
    check(
        "true ?: 1.0",
        "the formula gives a boolean, and KEDA takes nothing but a float; wrap it in `float(..)`",
    );
    check("false ?: 1.0", "1");
    check("let x = 1.0; let x = x + 1; x * 10", "20");
    check("let x = running; (let x = 1.0; x) + x", "33");
}

#[test]
fn places_are_counted_in_lines_and_characters() {
    for (source, error) in [
        (
            "running +\n\n waiting +",
            "3:11: expected a number, a name or `(`, found the end",
        ),
        ("/* ü */ @", "1:9: `@` means nothing in a formula"),
        ("// a\n@", "2:1: `@` means nothing in a formula"),
        ("1e", "1:1: `1e` is not a number"),
        ("0x", "1:1: `0x` is not a number"),
        ("1e5_x", "1:1: `1e5_x` is not a number"),
        ("0b12", "1:1: `0b12` is not a number"),
        ("1.5.5", "1:4: expected an operator or the end, found `0.5`"),
        ("99999999999999999999", "1:1: `99999999999999999999` is not a number"),
        (
            "a.b",
            "1:2: `.` works on text or maps; a scaling formula has only the triggers' numbers",
        ),
        (
            "a?.b",
            "1:2: `.` works on text or maps; a scaling formula has only the triggers' numbers",
        ),
        (
            "{1}",
            "1:1: `{` works on text or maps; a scaling formula has only the triggers' numbers",
        ),
        (
            "1 matches 2",
            "1:3: `matches` works on text or maps; a scaling formula has only the triggers' numbers",
        ),
        (
            "1 startsWith 2",
            "1:3: `startsWith` works on text or maps; a scaling formula has only the triggers' numbers",
        ),
        (
            "1 endsWith 2",
            "1:3: `endsWith` works on text or maps; a scaling formula has only the triggers' numbers",
        ),
        (
            "'text'",
            "1:1: a scaling formula has no text, only the triggers' numbers",
        ),
        (
            "`text`",
            "1:1: a scaling formula has no text, only the triggers' numbers",
        ),
        (
            "map([1], #other)",
            "1:10: expected `#`, `#index` or `#acc`, found `#other`",
        ),
        (
            "map([1], #) + #",
            "1:15: `#` stands for an element, and there is none here: use it inside `count`, `map` and their like",
        ),
        ("max()", "1:1: `max` takes one or more arguments, not 0"),
        ("map([1])", "1:1: `map` takes an array and a predicate, not 1"),
        (
            "count([1], true, 2)",
            "1:1: `count` takes an array, and at most one predicate, not 3",
        ),
        (
            "reduce([1], #, 2, 3)",
            "1:1: `reduce` takes an array, a predicate, and at most a first value, not 4",
        ),
        (
            "reduce([1])",
            "1:1: `reduce` takes an array, a predicate, and at most a first value, not 1",
        ),
        ("abs(1 2)", "1:7: expected `,` or `)`, found `2`"),
        ("[1 2]", "1:4: expected `,` or `]`, found `2`"),
        ("[1.0][0", "1:8: expected `]`, found the end"),
        ("if true 1.0", "1:9: expected `{`, found `1`"),
        ("if true { 1.0 }", "1:16: expected `else`, found the end"),
        ("if true { 1.0 else", "1:15: expected `}`, found `else`"),
        ("let x 1; x", "1:7: expected `=`, found `1`"),
        (
            "let x = 1",
            "1:10: expected `;` and the formula that uses the name, found the end",
        ),
        ("1 | 2", "1:5: expected a name, found `2`"),
        ("[1] | sum", "1:10: expected `(`, found the end"),
        ("1 not 2", "1:3: expected an operator or the end, found `not`"),
        ("else", "1:1: expected a number, a name or `(`, found `else`"),
        ("1 + 0.5 0.5", "1:9: expected an operator or the end, found `0.5`"),
    ] {
        check(source, error);
    }
    for (open, close) in [("(", ")"), ("-", ""), ("[", "]"), ("let x = 1.0; ", "")] {
        let nested = |depth: usize| format!("{}1.0{}", open.repeat(depth), close.repeat(depth));
        assert!(Formula::parse(&nested(20)).is_ok(), "{open}");
        let error = Formula::parse(&nested(101)).unwrap_err().to_string();
        assert!(error.ends_with("the formula is nested too deeply"), "{error}");
    }
    // What stands beside each other is not nested.
    for wide in [
        "(1.0) + ",
        "(let x = 1.0; x) + ",
        "(if true { 1.0 } else if true { 2.0 } else { 3.0 }) + ",
    ] {
        assert!(Formula::parse(&(wide.repeat(150) + "1.0")).is_ok(), "{wide}");
    }
}

#[test]
fn checking_knows_the_kinds_that_evaluation_meets() {
    let boolean = |column: usize| {
        format!("1:{column}: this gives a boolean, and KEDA takes nothing but a float; wrap it in `float(..)`")
    };
    let integer = |column: usize| {
        format!("1:{column}: this gives an integer, and KEDA takes nothing but a float; wrap it in `float(..)`")
    };
    for (source, problem) in [
        ("!true", boolean(1)),
        ("let x = 1; x", integer(12)),
        ("let x = true; x", boolean(15)),
        ("running ?? 1", integer(12)),
        ("1 ?? running", integer(1)),
        ("(1 + 2) * 3", integer(9)),
        ("7 % 2", integer(3)),
        ("len([running])", integer(1)),
        ("abs(1)", integer(1)),
        ("max(1, 2)", integer(1)),
        ("all([1], # > 0)", boolean(1)),
        ("running in [1]", boolean(9)),
        ("1 < 2", boolean(3)),
        ("1 == 2", boolean(3)),
        ("true and false", boolean(6)),
        ("-1", integer(1)),
        ("0 + (running > 1 ? 1 : 2)", integer(3)),
    ] {
        check_problems(source, &[&problem]);
    }
    for source in [
        "1 + running",
        "running - 1",
        "1 / 2",
        "2 ** 3",
        "max(1, running)",
        "max([1, 2])",
        "sum([1, 2])",
        "[1, 2][0]",
        "find([1], # > 0)",
        "map([running], # * 2)[0]",
        "mean(1, 2)",
        "(running > 1 ? 1 : 2.0) + 0.5",
        "(nil ?? running) + 1",
        "(1 ?? true) + 1.0",
        "float((running ?? 1) % 2)",
        "float((nil ?? 1) % 2)",
        "let x = running; let x = x; x",
        "sum([1, 2], # + #index)",
        "running > 1 ? running : waiting",
        "-running",
        "round(running)",
    ] {
        check_problems(source, &[]);
    }
    for (source, problem) in [
        ("-true", "1:1: `-` does not work on a boolean"),
        ("!running ? 1.0 : 2.0", "1:1: `!` does not work on a float"),
        (
            "running and true ? 1.0 : 2.0",
            "1:9: `&&` does not work on a float and a boolean",
        ),
        (
            "true || running ? 1.0 : 2.0",
            "1:6: `||` does not work on a boolean and a float",
        ),
        (
            "running < true ? 1.0 : 2.0",
            "1:9: `<` does not work on a float and a boolean",
        ),
        (
            "1 in running ? 1.0 : 2.0",
            "1:3: `in` does not work on an integer and a float",
        ),
        ("sum(1.0..2)", "1:8: `..` does not work on a float and an integer"),
        ("sum(1..2.0)", "1:6: `..` does not work on an integer and a float"),
        (
            "float(1 % running)",
            "1:9: `%` does not work on an integer and a float; cut the fractions off with `int(..)`",
        ),
        ("float(1 % true)", "1:9: `%` does not work on an integer and a boolean"),
        ("running[0]", "1:1: `[` takes an array, not a float"),
        ("[1.0][running]", "1:7: an index takes an integer, not a float"),
        ("ceil([1])", "1:1: `ceil` does not work on an array"),
        ("first(running)", "1:1: `first` does not work on a float"),
        ("1 + nil", "1:3: `+` does not work on an integer and nothing"),
        ("!(running + 1) ? 1.0 : 2.0", "1:1: `!` does not work on a float"),
        ("!(1 + running) ? 1.0 : 2.0", "1:1: `!` does not work on a float"),
        (
            "runnxyg * 1.0",
            "1:1: no trigger is named `runnxyg`; did you mean `running`?",
        ),
        (
            "runnning * 1.0",
            "1:1: no trigger is named `runnning`; did you mean `running`?",
        ),
        ("abcdrunning * 1.0", "1:1: no trigger is named `abcdrunning`"),
        (
            "wating * 1.0",
            "1:1: no trigger is named `wating`; did you mean `waiting`?",
        ),
        ("wxyzing * 1.0", "1:1: no trigger is named `wxyzing`"),
        ("mx(running)", "1:1: there is no function `mx`; did you mean `max`?"),
        (
            "[1.0, runing][0]",
            "1:7: no trigger is named `runing`; did you mean `running`?",
        ),
    ] {
        check_problems(source, &[problem]);
    }
    check_problems(
        "a < a < a ? 1.0 : 2.0",
        &[
            "1:1: no trigger is named `a`",
            "1:5: no trigger is named `a`",
            "1:9: no trigger is named `a`",
        ],
    );
}

#[test]
fn a_formula_keeps_the_text_that_it_was_read_from() {
    let source = " running+1 // as written";
    assert_eq!(Formula::parse(source).expect("it parses").source(), source);
}

#[test]
fn variables_are_the_names_that_need_a_value() {
    let formula = Formula::parse("let x = a + b; x * max([c, a])").expect("it parses");
    assert_eq!(formula.variables().into_iter().collect::<Vec<_>>(), ["a", "b", "c"]);
    let formula =
        Formula::parse("(let x = a; x) + x + -b[c] + (d ? e : f) + map([g], h)[0] + nosuch(i)").expect("it parses");
    let names = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "x"];
    assert_eq!(formula.variables().into_iter().collect::<Vec<_>>(), names);
}

proptest! {
    #[test]
    fn no_text_makes_the_parser_panic(source in "[a-c0-9#.,;:?!&|<>=+*/%^(){}\\[\\] \n-]{0,40}") {
        if let Ok(formula) = Formula::parse(&source) {
            drop(formula.check(["a", "b"]));
            drop(formula.evaluate(&BTreeMap::from([("a".to_owned(), 1.5)])));
        }
    }

    #[test]
    fn a_formula_that_checks_clean_gives_a_float(source in "(a|b|1|2\\.5)( ?(\\+|-|\\*|>|\\?\\?) ?(a|b|1|2\\.5)){0,4}") {
        let Ok(formula) = Formula::parse(&source) else { return Ok(()) };
        if formula.check(["a", "b"]).is_empty() {
            let values = BTreeMap::from([("a".to_owned(), 3.0), ("b".to_owned(), 0.5)]);
            prop_assert!(formula.evaluate(&values).is_ok(), "{}", source);
        }
    }
}
