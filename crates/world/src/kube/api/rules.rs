//! The part of CEL that validation rules of custom kinds are mostly made of.
//!
//! Paths from `self` and `oldSelf`, literals, `==` `!=` `<` `<=` `>` `>=`, `in`, `&&` `||` `!`, `?:`, `has(..)`,
//! `size(..)`, and the methods `startsWith`, `endsWith`, `contains`, `matches`, `size`, `all`, `exists`. What cannot
//! be read is said when the kind is defined; it is not guessed at.

use std::collections::BTreeMap;

use regex::Regex;
use serde_json::Value;
use serde_json::json;

/// What a rule says about a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It holds.
    Holds,
    /// It does not hold, or cannot be evaluated on this value, as the real server has it.
    Broken,
    /// It is about a change and nothing changed, or it cannot be read.
    Silent,
}

#[derive(Debug, Clone, PartialEq)]
enum Expression {
    Literal(Value),
    Name(String),
    List(Vec<Expression>),
    Field(Box<Expression>, String),
    Index(Box<Expression>, Box<Expression>),
    Not(Box<Expression>),
    Negative(Box<Expression>),
    Binary(Box<Expression>, &'static str, Box<Expression>),
    Choice(Box<Expression>, Box<Expression>, Box<Expression>),
    Has(Box<Expression>, String),
    Call(Option<Box<Expression>>, String, Vec<Expression>),
}

/// Whether a rule can be read.
pub(crate) fn can_read(rule: &str) -> bool {
    parse(rule).is_some()
}

/// Whether a rule holds for a value.
pub(crate) fn holds(rule: &str, value: &Value, old: Option<&Value>) -> Verdict {
    let Some(expression) = parse(rule) else {
        return Verdict::Silent;
    };
    let mut names = BTreeMap::from([("self".to_owned(), value.clone())]);
    if rule.contains("oldSelf") {
        let Some(old) = old else { return Verdict::Silent };
        names.insert("oldSelf".to_owned(), old.clone());
    }
    match evaluate(&expression, &names) {
        Some(Value::Bool(true)) => Verdict::Holds,
        _ => Verdict::Broken,
    }
}

fn parse(rule: &str) -> Option<Expression> {
    let tokens = tokens(rule)?;
    let mut reader = Reader { tokens: &tokens, at: 0 };
    let expression = reader.choice()?;
    (reader.at == tokens.len()).then_some(expression)
}

const OPERATORS: [&str; 24] = [
    "&&", "||", "==", "!=", "<=", ">=", "<", ">", "!", "(", ")", "[", "]", ".", ",", "?", ":", "+", "-", "*", "/", "%",
    "{", "}",
];

#[derive(Debug, Clone, PartialEq)]
enum Token {
    Word(String),
    Literal(Value),
    Operator(&'static str),
}

fn tokens(rule: &str) -> Option<Vec<Token>> {
    let mut found = Vec::new();
    let mut rest = rule.trim_start();
    while let Some(first) = rest.chars().next() {
        if first == '"' || first == '\'' {
            let (text, after) = quoted(&rest[1..], first)?;
            found.push(Token::Literal(json!(text)));
            rest = after.trim_start();
            continue;
        }
        let length = if first.is_ascii_digit() {
            rest.find(|c: char| !c.is_ascii_digit() && c != '.')
                .unwrap_or(rest.len())
        } else if first.is_alphabetic() || first == '_' {
            rest.find(|c: char| !c.is_alphanumeric() && c != '_')
                .unwrap_or(rest.len())
        } else {
            let operator = OPERATORS.iter().find(|operator| rest.starts_with(*operator))?;
            found.push(Token::Operator(operator));
            rest = rest[operator.len()..].trim_start();
            continue;
        };
        let word = &rest[..length];
        found.push(match word {
            "true" => Token::Literal(json!(true)),
            "false" => Token::Literal(json!(false)),
            "null" => Token::Literal(Value::Null),
            _ if first.is_ascii_digit() => Token::Literal(serde_json::from_str(word).ok()?),
            _ => Token::Word(word.to_owned()),
        });
        rest = rest[length..].trim_start();
    }
    Some(found)
}

/// The text up to the closing quote, and what follows it.
fn quoted(text: &str, quote: char) -> Option<(String, &str)> {
    let mut inside = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '\\' => match characters.next()?.1 {
                'n' => inside.push('\n'),
                't' => inside.push('\t'),
                other => inside.push(other),
            },
            end if end == quote => return Some((inside, &text[at + end.len_utf8()..])),
            other => inside.push(other),
        }
    }
    None
}

struct Reader<'a> {
    tokens: &'a [Token],
    at: usize,
}

impl Reader<'_> {
    fn operator(&mut self, wanted: &str) -> bool {
        let found = matches!(self.tokens.get(self.at), Some(Token::Operator(operator)) if *operator == wanted);
        self.at += usize::from(found);
        found
    }

    fn word(&mut self) -> Option<String> {
        let Token::Word(word) = self.tokens.get(self.at)? else {
            return None;
        };
        self.at += 1;
        Some(word.clone())
    }

    fn choice(&mut self) -> Option<Expression> {
        let test = self.either(0)?;
        if !self.operator("?") {
            return Some(test);
        }
        let yes = self.choice()?;
        let no = self.operator(":").then(|| self.choice())??;
        Some(Expression::Choice(Box::new(test), Box::new(yes), Box::new(no)))
    }

    /// Binary operators, loosest first.
    fn either(&mut self, level: usize) -> Option<Expression> {
        const LEVELS: [&[&str]; 5] = [
            &["||"],
            &["&&"],
            &["==", "!=", "<=", ">=", "<", ">"],
            &["+", "-"],
            &["*", "/", "%"],
        ];
        let Some(operators) = LEVELS.get(level) else {
            return self.unary();
        };
        let mut left = self.either(level + 1)?;
        loop {
            let found = operators.iter().find(|operator| self.operator(operator));
            let found = match found {
                Some(found) => found,
                None if level == 2 && self.tokens.get(self.at) == Some(&Token::Word("in".to_owned())) => {
                    self.at += 1;
                    "in"
                }
                None => return Some(left),
            };
            let right = self.either(level + 1)?;
            left = Expression::Binary(Box::new(left), found, Box::new(right));
        }
    }

    fn unary(&mut self) -> Option<Expression> {
        if self.operator("!") {
            return Some(Expression::Not(Box::new(self.unary()?)));
        }
        if self.operator("-") {
            return Some(Expression::Negative(Box::new(self.unary()?)));
        }
        let mut value = self.primary()?;
        loop {
            if self.operator(".") {
                let name = self.word()?;
                value = if self.operator("(") {
                    Expression::Call(Some(Box::new(value)), method(&name)?, self.arguments(")")?)
                } else {
                    Expression::Field(Box::new(value), name)
                };
            } else if self.operator("[") {
                let index = self.choice()?;
                self.operator("]").then_some(())?;
                value = Expression::Index(Box::new(value), Box::new(index));
            } else {
                return Some(value);
            }
        }
    }

    fn primary(&mut self) -> Option<Expression> {
        if self.operator("(") {
            let inside = self.choice()?;
            return self.operator(")").then_some(inside);
        }
        if self.operator("[") {
            return self.arguments("]").map(Expression::List);
        }
        if let Some(Token::Literal(value)) = self.tokens.get(self.at) {
            self.at += 1;
            return Some(Expression::Literal(value.clone()));
        }
        let name = self.word()?;
        if !self.operator("(") {
            return Some(Expression::Name(name));
        }
        let arguments = self.arguments(")")?;
        match (name.as_str(), arguments.as_slice()) {
            ("has", [Expression::Field(object, field)]) => Some(Expression::Has(object.clone(), field.clone())),
            ("size", [_]) => Some(Expression::Call(None, name, arguments)),
            _ => None,
        }
    }

    fn arguments(&mut self, end: &str) -> Option<Vec<Expression>> {
        let mut found = Vec::new();
        while !self.operator(end) {
            found.push(self.choice()?);
            if !self.operator(",") {
                return self.operator(end).then_some(found);
            }
        }
        Some(found)
    }
}

fn method(name: &str) -> Option<String> {
    let known = ["startsWith", "endsWith", "contains", "matches", "size", "all", "exists"];
    known.contains(&name).then(|| name.to_owned())
}

type Names = BTreeMap<String, Value>;

/// The value of an expression; none if it is an error.
fn evaluate(expression: &Expression, names: &Names) -> Option<Value> {
    let truth = |expression: &Expression| evaluate(expression, names)?.as_bool();
    match expression {
        Expression::Literal(value) => Some(value.clone()),
        Expression::Name(name) => names.get(name).cloned(),
        Expression::List(items) => {
            let items: Option<Vec<Value>> = items.iter().map(|item| evaluate(item, names)).collect();
            items.map(Value::Array)
        }
        Expression::Field(object, field) => evaluate(object, names)?.get(field).cloned(),
        Expression::Index(object, index) => {
            let object = evaluate(object, names)?;
            match evaluate(index, names)? {
                Value::String(key) => object.get(key).cloned(),
                index => object.get(usize::try_from(index.as_u64()?).ok()?).cloned(),
            }
        }
        Expression::Not(inner) => Some(json!(!truth(inner)?)),
        Expression::Negative(inner) => Some(json!(-evaluate(inner, names)?.as_f64()?)),
        Expression::Choice(test, yes, no) => evaluate(if truth(test)? { yes } else { no }, names),
        Expression::Has(object, field) => Some(json!(evaluate(object, names)?.get(field).is_some())),
        Expression::Binary(left, "&&", right) => match (truth(left), truth(right)) {
            (Some(false), _) | (_, Some(false)) => Some(json!(false)),
            (Some(true), Some(true)) => Some(json!(true)),
            _ => None,
        },
        Expression::Binary(left, "||", right) => match (truth(left), truth(right)) {
            (Some(true), _) | (_, Some(true)) => Some(json!(true)),
            (Some(false), Some(false)) => Some(json!(false)),
            _ => None,
        },
        Expression::Binary(left, operator, right) => {
            binary(&evaluate(left, names)?, operator, &evaluate(right, names)?)
        }
        Expression::Call(None, _, arguments) => size(&evaluate(arguments.first()?, names)?),
        Expression::Call(Some(object), method, arguments) => call(&evaluate(object, names)?, method, arguments, names),
    }
}

fn binary(left: &Value, operator: &str, right: &Value) -> Option<Value> {
    let order = || match (left, right) {
        (Value::String(left), Value::String(right)) => Some(left.cmp(right)),
        _ => left.as_f64()?.partial_cmp(&right.as_f64()?),
    };
    let same = || match (left.as_f64(), right.as_f64()) {
        (Some(left), Some(right)) => left.total_cmp(&right).is_eq(),
        _ => left == right,
    };
    let numbers = || Some((left.as_f64()?, right.as_f64()?));
    Some(match operator {
        "==" => json!(same()),
        "!=" => json!(!same()),
        "<" => json!(order()?.is_lt()),
        "<=" => json!(order()?.is_le()),
        ">" => json!(order()?.is_gt()),
        ">=" => json!(order()?.is_ge()),
        "in" => json!(match right {
            Value::Array(list) => list.contains(left),
            Value::Object(map) => map.contains_key(left.as_str()?),
            _ => return None,
        }),
        "+" => match (left, right) {
            (Value::String(left), Value::String(right)) => json!(format!("{left}{right}")),
            _ => numbers().map(|(left, right)| json!(left + right))?,
        },
        "-" => numbers().map(|(left, right)| json!(left - right))?,
        "*" => numbers().map(|(left, right)| json!(left * right))?,
        "/" => numbers().map(|(left, right)| json!(left / right))?,
        _ => numbers().map(|(left, right)| json!(left % right))?,
    })
}

fn size(value: &Value) -> Option<Value> {
    Some(json!(match value {
        Value::String(text) => text.chars().count(),
        Value::Array(list) => list.len(),
        Value::Object(map) => map.len(),
        _ => return None,
    }))
}

fn call(object: &Value, method: &str, arguments: &[Expression], names: &Names) -> Option<Value> {
    if method == "size" {
        return size(object);
    }
    if let ("all" | "exists", [Expression::Name(name), test]) = (method, arguments) {
        let items: Vec<Value> = match object {
            Value::Array(list) => list.clone(),
            Value::Object(map) => map.keys().map(|key| json!(key)).collect(),
            _ => return None,
        };
        let mut names = names.clone();
        let mut every = true;
        let mut any = false;
        for item in items {
            names.insert(name.clone(), item);
            let holds = evaluate(test, &names)?.as_bool()?;
            every &= holds;
            any |= holds;
        }
        return Some(json!(if method == "all" { every } else { any }));
    }
    let argument = evaluate(arguments.first()?, names)?;
    let (text, argument) = (object.as_str()?, argument.as_str()?);
    Some(json!(match method {
        "startsWith" => text.starts_with(argument),
        "endsWith" => text.ends_with(argument),
        "contains" => text.contains(argument),
        _ => Regex::new(argument).ok()?.is_match(text),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(rule: &str, value: &Value, expected: Verdict) {
        assert_eq!(holds(rule, value, None), expected, "{rule} on {value}");
    }

    #[test]
    fn rules_hold_or_are_broken() {
        use Verdict::Broken;
        use Verdict::Holds;
        check("self.size < 10", &json!({"size": 3}), Holds);
        check("self.size < 10", &json!({"size": 11}), Broken);
        check("!has(self.a) || self.a in ['x', 'y']", &json!({}), Holds);
        check("!has(self.a) || self.a in ['x', 'y']", &json!({"a": "z"}), Broken);
        check(
            "self.all(x, x.key != 'a' && x.n > 0)",
            &json!([{"key": "b", "n": 1}]),
            Holds,
        );
        check(
            "size(self.l) == 2 ? self.l[0] == 'p' : false",
            &json!({"l": ["p", "q"]}),
            Holds,
        );
        check("self.name.matches('^a+$')", &json!({"name": "aab"}), Broken);
        check("self.nothing > 1", &json!({}), Broken);
    }

    #[test]
    fn a_rule_about_a_change_is_silent_on_creation() {
        check("self.size >= oldSelf.size", &json!({"size": 1}), Verdict::Silent);
        let old = json!({"size": 2});
        assert_eq!(
            holds("self.size >= oldSelf.size", &json!({"size": 1}), Some(&old)),
            Verdict::Broken
        );
    }

    #[test]
    fn what_cannot_be_read_is_known() {
        assert!(!can_read("self.map(x, x.a).isSorted()"));
    }
}
