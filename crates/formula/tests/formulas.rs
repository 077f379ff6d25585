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

#[test]
fn variables_are_the_names_that_need_a_value() {
    let formula = Formula::parse("let x = a + b; x * max([c, a])").expect("it parses");
    assert_eq!(formula.variables().into_iter().collect::<Vec<_>>(), ["a", "b", "c"]);
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
