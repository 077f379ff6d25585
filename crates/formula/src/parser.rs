//! Tokens to a tree, with expr's precedence and its refusals.

use thiserror::Error;

use crate::function::Function;
use crate::lexer;
use crate::lexer::Position;
use crate::lexer::Token;
use crate::lexer::TokenKind;
use crate::tree::Associativity;
use crate::tree::Binary;
use crate::tree::Expression;
use crate::tree::Node;
use crate::tree::Pointer;
use crate::tree::Unary;
use crate::value::Value;

/// Why a text is no formula.
#[derive(Clone, Debug, PartialEq, Error)]
#[non_exhaustive]
pub enum SyntaxError {
    /// A character no token begins with.
    #[error("{at}: `{character}` means nothing in a formula")]
    #[expect(missing_docs, reason = "the message says what the fields are")]
    Character { at: Position, character: char },
    /// Text in quotes: formulas are over numbers.
    #[error("{at}: a scaling formula has no text, only the triggers' numbers")]
    #[expect(missing_docs, reason = "the message says what the fields are")]
    Text { at: Position },
    /// Something that begins like a number.
    #[error("{at}: `{text}` is not a number")]
    #[expect(missing_docs, reason = "the message says what the fields are")]
    Number { at: Position, text: String },
    /// A comment without an end.
    #[error("{at}: this comment never ends; close it with `*/`")]
    #[expect(missing_docs, reason = "the message says what the fields are")]
    Comment { at: Position },
    /// A token that cannot stand where it does.
    #[error("{at}: expected {expected}, found {found}")]
    #[expect(missing_docs, reason = "the message says what the fields are")]
    Unexpected {
        at: Position,
        expected: &'static str,
        found: String,
    },
    /// An operator or construct of expr that needs text, maps or fields.
    #[error("{at}: `{what}` works on text or maps; a scaling formula has only the triggers' numbers")]
    #[expect(missing_docs, reason = "the message says what the fields are")]
    NotForNumbers { at: Position, what: String },
    /// `a ?? b + c`, which expr refuses.
    #[error("{at}: `{operator}` cannot follow `??`; put parentheses around the `??` part")]
    #[expect(missing_docs, reason = "the message says what the fields are")]
    AfterCoalesce { at: Position, operator: &'static str },
    /// A function with too many or too few arguments.
    #[error("{at}: `{function}` takes {takes}, not {given}")]
    #[expect(missing_docs, reason = "the message says what the fields are")]
    Arguments {
        at: Position,
        function: &'static str,
        takes: &'static str,
        given: usize,
    },
    /// `#` outside of a predicate.
    #[error("{at}: `#` stands for an element, and there is none here: use it inside `count`, `map` and their like")]
    #[expect(missing_docs, reason = "the message says what the fields are")]
    Pointer { at: Position },
    /// More parentheses within each other than anybody writes.
    #[error("{at}: the formula is nested too deeply")]
    #[expect(missing_docs, reason = "the message says what the fields are")]
    Depth { at: Position },
}

/// Far beyond any formula, and far below what the stack holds.
const DEEPEST: usize = 100;

pub(crate) fn parse(source: &str) -> Result<Node, SyntaxError> {
    let mut parser = Parser {
        tokens: lexer::tokens(source)?,
        next: 0,
        depth: 0,
        predicates: 0,
    };
    let root = parser.sequence()?;
    match parser.peek() {
        TokenKind::End => Ok(root),
        _ => Err(parser.unexpected("an operator or the end")),
    }
}

struct Parser {
    // Invariant: the last token is the end, and `next` never moves past it.
    tokens: Vec<Token>,
    next: usize,
    depth: usize,
    predicates: usize,
}

impl Parser {
    fn sequence(&mut self) -> Result<Node, SyntaxError> {
        let at = self.at();
        if !self.skip_word("let") {
            return self.expression(0);
        }
        let name = self.name()?;
        self.expect("=", "`=`")?;
        let value = self.expression(0)?;
        self.expect(";", "`;` and the formula that uses the name")?;
        self.deeper()?;
        let rest = self.sequence()?;
        self.depth -= 1;
        Ok(Node {
            at,
            expression: Expression::Let(name, Box::new(value), Box::new(rest)),
        })
    }

    fn expression(&mut self, precedence: u16) -> Result<Node, SyntaxError> {
        self.deeper()?;
        let mut left = if precedence == 0 && self.is_word("if") {
            self.if_else()?
        } else {
            self.unary()?
        };
        let mut previous = None;
        loop {
            if precedence == 0 && self.skip("|") {
                left = self.pipe(left)?;
                previous = None;
                continue;
            }
            let negated = self.is_word("not") && self.next_is_word("in");
            let Some(operator) = self.operator(negated)? else { break };
            if operator.precedence() < precedence {
                break;
            }
            let at = self.at();
            if previous == Some(Binary::Coalesce) && operator != Binary::Coalesce {
                let operator = operator.symbol();
                return Err(SyntaxError::AfterCoalesce { at, operator });
            }
            self.advance();
            if negated {
                self.advance();
            }
            left = self.right_of(left, operator, at)?;
            if negated {
                left = Node {
                    at,
                    expression: Expression::Unary(Unary::Not, Box::new(left)),
                };
            }
            previous = Some(operator);
        }
        if precedence == 0 {
            left = self.conditional(left)?;
        }
        self.depth -= 1;
        Ok(left)
    }

    fn right_of(&mut self, left: Node, operator: Binary, at: Position) -> Result<Node, SyntaxError> {
        let floor = match operator.associativity() {
            Associativity::Left => operator.precedence() + 1,
            Associativity::Right => operator.precedence(),
        };
        let right = self.expression(floor)?;
        let mut chained = binary(at, operator, left, right.clone());
        if !operator.chains() {
            return Ok(chained);
        }
        let mut middle = right;
        while let Some(next) = self.operator(false)?.filter(|next| next.chains()) {
            let at = self.at();
            self.advance();
            let right = self.expression(floor)?;
            let link = binary(at, next, middle, right.clone());
            chained = binary(at, Binary::And, chained, link);
            middle = right;
        }
        Ok(chained)
    }

    fn conditional(&mut self, condition: Node) -> Result<Node, SyntaxError> {
        let at = self.at();
        if !self.skip("?") {
            return Ok(condition);
        }
        // `a ?: b` is `a ? a : b`.
        let yes = if self.is_symbol(":") {
            condition.clone()
        } else {
            self.expression(0)?
        };
        self.expect(":", "`:` and the value for the other case")?;
        let no = self.expression(0)?;
        Ok(conditional(at, condition, yes, no))
    }

    fn if_else(&mut self) -> Result<Node, SyntaxError> {
        let at = self.at();
        self.advance();
        let condition = self.expression(0)?;
        let yes = self.block()?;
        if !self.skip_word("else") {
            return Err(self.unexpected("`else`"));
        }
        let no = if self.is_word("if") {
            self.deeper()?;
            let no = self.if_else()?;
            self.depth -= 1;
            no
        } else {
            self.block()?
        };
        Ok(conditional(at, condition, yes, no))
    }

    fn block(&mut self) -> Result<Node, SyntaxError> {
        self.expect("{", "`{`")?;
        let inside = self.sequence()?;
        self.expect("}", "`}`")?;
        Ok(inside)
    }

    fn unary(&mut self) -> Result<Node, SyntaxError> {
        let at = self.at();
        let operator = match self.peek() {
            TokenKind::Symbol("!") => Unary::Not,
            TokenKind::Word(word) if word == "not" => Unary::Not,
            TokenKind::Symbol("-") => Unary::Minus,
            TokenKind::Symbol("+") => Unary::Plus,
            _ => return self.postfix(),
        };
        self.advance();
        let operand = self.expression(operator.precedence())?;
        Ok(Node {
            at,
            expression: Expression::Unary(operator, Box::new(operand)),
        })
    }

    fn postfix(&mut self) -> Result<Node, SyntaxError> {
        let mut node = self.primary()?;
        loop {
            let at = self.at();
            if self.skip("[") {
                let index = self.expression(0)?;
                self.expect("]", "`]`")?;
                node = Node {
                    at,
                    expression: Expression::Index(Box::new(node), Box::new(index)),
                };
            } else if self.is_symbol(".") || self.is_symbol("?.") {
                return Err(SyntaxError::NotForNumbers { at, what: ".".into() });
            } else {
                return Ok(node);
            }
        }
    }

    fn primary(&mut self) -> Result<Node, SyntaxError> {
        let at = self.at();
        let token = self.peek().clone();
        let expression = match token {
            TokenKind::Integer(integer) => self.literal(Value::Integer(integer)),
            TokenKind::Float(float) => self.literal(Value::Float(float)),
            TokenKind::Pointer(name) => self.pointer(&name)?,
            TokenKind::Word(word) => return self.word(word),
            TokenKind::Symbol("(") => {
                self.advance();
                let inside = self.sequence()?;
                self.expect(")", "`)`")?;
                return Ok(inside);
            }
            TokenKind::Symbol("[") => {
                self.advance();
                Expression::Array(self.list("]", "`,` or `]`")?)
            }
            TokenKind::Symbol("{") => return Err(SyntaxError::NotForNumbers { at, what: "{".into() }),
            TokenKind::Symbol(_) | TokenKind::End => return Err(self.unexpected("a number, a name or `(`")),
        };
        Ok(Node { at, expression })
    }

    fn word(&mut self, word: String) -> Result<Node, SyntaxError> {
        let at = self.at();
        let expression = match word.as_str() {
            "true" => self.literal(Value::Boolean(true)),
            "false" => self.literal(Value::Boolean(false)),
            "nil" => self.literal(Value::Nil),
            "let" | "if" | "else" | "and" | "or" | "in" | "not" => {
                return Err(self.unexpected("a number, a name or `(`"));
            }
            _ => {
                self.advance();
                if self.is_symbol("(") {
                    return self.call(at, word, Vec::new());
                }
                Expression::Name(word)
            }
        };
        Ok(Node { at, expression })
    }

    fn pipe(&mut self, first: Node) -> Result<Node, SyntaxError> {
        let at = self.at();
        let function = self.name()?;
        self.call(at, function, vec![first])
    }

    fn call(&mut self, at: Position, name: String, mut arguments: Vec<Node>) -> Result<Node, SyntaxError> {
        let function = Function::named(&name);
        self.expect("(", "`(`")?;
        while !self.is_symbol(")") {
            let predicate = function.is_some_and(|function| function.takes_predicate(arguments.len()));
            arguments.push(if predicate {
                self.predicate()?
            } else {
                self.expression(0)?
            });
            if !self.is_symbol(")") {
                self.expect(",", "`,` or `)`")?;
            }
        }
        self.advance();
        let Some(function) = function else {
            return Ok(Node {
                at,
                expression: Expression::UnknownCall(name, arguments),
            });
        };
        if !function.accepts(arguments.len()) {
            return Err(SyntaxError::Arguments {
                at,
                function: function.name(),
                takes: function.takes(),
                given: arguments.len(),
            });
        }
        Ok(Node {
            at,
            expression: Expression::Call(function, arguments),
        })
    }

    fn predicate(&mut self) -> Result<Node, SyntaxError> {
        self.predicates += 1;
        let predicate = if self.is_symbol("{") {
            self.block()?
        } else {
            self.expression(0)?
        };
        self.predicates -= 1;
        Ok(predicate)
    }

    fn pointer(&mut self, name: &str) -> Result<Expression, SyntaxError> {
        let at = self.at();
        if self.predicates == 0 {
            return Err(SyntaxError::Pointer { at });
        }
        let pointer = match name {
            "" => Pointer::Element,
            "index" => Pointer::Index,
            "acc" => Pointer::Accumulator,
            _ => return Err(self.unexpected("`#`, `#index` or `#acc`")),
        };
        self.advance();
        Ok(Expression::Pointer(pointer))
    }

    fn literal(&mut self, value: Value) -> Expression {
        self.advance();
        Expression::Literal(value)
    }

    fn list(&mut self, close: &'static str, expected: &'static str) -> Result<Vec<Node>, SyntaxError> {
        let mut nodes = Vec::new();
        while !self.skip(close) {
            nodes.push(self.expression(0)?);
            if !self.is_symbol(close) {
                self.expect(",", expected)?;
            }
        }
        Ok(nodes)
    }

    fn operator(&self, negated: bool) -> Result<Option<Binary>, SyntaxError> {
        if negated {
            return Ok(Some(Binary::In));
        }
        match self.peek() {
            TokenKind::Symbol(symbol) => Ok(Binary::named(symbol)),
            TokenKind::Word(word) if matches!(word.as_str(), "matches" | "contains" | "startsWith" | "endsWith") => {
                Err(SyntaxError::NotForNumbers {
                    at: self.at(),
                    what: word.clone(),
                })
            }
            TokenKind::Word(word) => Ok(Binary::named(word)),
            _ => Ok(None),
        }
    }

    fn name(&mut self) -> Result<String, SyntaxError> {
        match self.peek().clone() {
            TokenKind::Word(word) => {
                self.advance();
                Ok(word)
            }
            _ => Err(self.unexpected("a name")),
        }
    }

    fn deeper(&mut self) -> Result<(), SyntaxError> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(SyntaxError::Depth { at: self.at() });
        }
        Ok(())
    }

    fn expect(&mut self, symbol: &'static str, expected: &'static str) -> Result<(), SyntaxError> {
        if self.skip(symbol) {
            return Ok(());
        }
        Err(self.unexpected(expected))
    }

    fn skip(&mut self, symbol: &str) -> bool {
        let found = self.is_symbol(symbol);
        if found {
            self.advance();
        }
        found
    }

    fn skip_word(&mut self, word: &str) -> bool {
        let found = self.is_word(word);
        if found {
            self.advance();
        }
        found
    }

    fn is_symbol(&self, symbol: &str) -> bool {
        matches!(self.peek(), TokenKind::Symbol(found) if *found == symbol)
    }

    fn is_word(&self, word: &str) -> bool {
        matches!(self.peek(), TokenKind::Word(found) if found == word)
    }

    fn next_is_word(&self, word: &str) -> bool {
        let next = self.tokens.get(self.next + 1).map(|token| &token.kind);
        matches!(next, Some(TokenKind::Word(found)) if found == word)
    }

    fn peek(&self) -> &TokenKind {
        &self.tokens[self.next].kind
    }

    fn at(&self) -> Position {
        self.tokens[self.next].at
    }

    fn advance(&mut self) {
        self.next = (self.next + 1).min(self.tokens.len() - 1);
    }

    fn unexpected(&self, expected: &'static str) -> SyntaxError {
        let found = match self.peek() {
            TokenKind::Integer(integer) => format!("`{integer}`"),
            TokenKind::Float(float) => format!("`{float}`"),
            TokenKind::Word(word) => format!("`{word}`"),
            TokenKind::Pointer(name) => format!("`#{name}`"),
            TokenKind::Symbol(symbol) => format!("`{symbol}`"),
            TokenKind::End => "the end".to_owned(),
        };
        SyntaxError::Unexpected {
            at: self.at(),
            expected,
            found,
        }
    }
}

fn binary(at: Position, operator: Binary, left: Node, right: Node) -> Node {
    Node {
        at,
        expression: Expression::Binary(operator, Box::new(left), Box::new(right)),
    }
}

fn conditional(at: Position, condition: Node, yes: Node, no: Node) -> Node {
    Node {
        at,
        expression: Expression::Conditional(Box::new(condition), Box::new(yes), Box::new(no)),
    }
}
