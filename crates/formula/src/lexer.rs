//! A formula as tokens.

use std::fmt;

use crate::parser::SyntaxError;

/// A place in a formula, counted from 1 in lines and characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The line.
    pub line: usize,
    /// The character in that line.
    pub column: usize,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Token {
    pub(crate) at: Position,
    pub(crate) kind: TokenKind,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum TokenKind {
    Integer(i64),
    Float(f64),
    /// A name, or an operator or keyword spelled with letters.
    Word(String),
    /// `#` and the name behind it.
    Pointer(String),
    Symbol(&'static str),
    End,
}

/// Every symbol of the language, longer ones before those they begin with.
const SYMBOLS: [&str; 32] = [
    "**", "==", "!=", "<=", ">=", "&&", "||", "??", "?.", "..", "+", "-", "*", "/", "%", "^", "<", ">", "!", "?", ":",
    "|", "(", ")", "[", "]", "{", "}", ",", ";", "=", ".",
];

pub(crate) fn tokens(source: &str) -> Result<Vec<Token>, SyntaxError> {
    let mut lexer = Lexer {
        rest: source,
        at: Position { line: 1, column: 1 },
    };
    let mut tokens = Vec::new();
    loop {
        lexer.skip_space()?;
        let at = lexer.at;
        let kind = lexer.token()?;
        let end = kind == TokenKind::End;
        tokens.push(Token { at, kind });
        if end {
            return Ok(tokens);
        }
    }
}

struct Lexer<'a> {
    rest: &'a str,
    at: Position,
}

impl<'a> Lexer<'a> {
    fn token(&mut self) -> Result<TokenKind, SyntaxError> {
        let Some(first) = self.rest.chars().next() else {
            return Ok(TokenKind::End);
        };
        let second = self.rest.chars().nth(1);
        if first.is_ascii_digit() || (first == '.' && second.is_some_and(|next| next.is_ascii_digit())) {
            return self.number();
        }
        if starts_name(first) {
            return Ok(TokenKind::Word(self.take_while(continues_name).to_owned()));
        }
        if first == '#' {
            self.take(1);
            return Ok(TokenKind::Pointer(self.take_while(continues_name).to_owned()));
        }
        if matches!(first, '"' | '\'' | '`') {
            return Err(SyntaxError::Text { at: self.at });
        }
        let Some(symbol) = SYMBOLS.into_iter().find(|symbol| self.rest.starts_with(symbol)) else {
            return Err(SyntaxError::Character {
                at: self.at,
                character: first,
            });
        };
        self.take(symbol.len());
        Ok(TokenKind::Symbol(symbol))
    }

    fn number(&mut self) -> Result<TokenKind, SyntaxError> {
        let at = self.at;
        let text = self.number_text();
        let digits = text.replace('_', "");
        let radix = match digits.get(..2) {
            Some("0x" | "0X") => 16,
            Some("0o" | "0O") => 8,
            Some("0b" | "0B") => 2,
            _ => 10,
        };
        let parsed = if radix != 10 {
            i64::from_str_radix(&digits[2..], radix).ok().map(TokenKind::Integer)
        } else if digits.contains(['.', 'e', 'E']) {
            digits.parse().ok().map(TokenKind::Float)
        } else {
            digits.parse().ok().map(TokenKind::Integer)
        };
        parsed.ok_or_else(|| SyntaxError::Number {
            at,
            text: text.to_owned(),
        })
    }

    fn number_text(&mut self) -> &'a str {
        if self.rest.starts_with('0') && self.rest[1..].starts_with(['x', 'X', 'o', 'O', 'b', 'B']) {
            return self.take_while(|c| c.is_ascii_alphanumeric() || c == '_');
        }
        let bytes = self.rest.as_bytes();
        let mut end = 0;
        let digit = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_digit);
        while digit(end) || bytes.get(end) == Some(&b'_') {
            end += 1;
        }
        // Two points are a range: `1..3` is not `1.` and `.3`.
        if bytes.get(end) == Some(&b'.') && bytes.get(end + 1) != Some(&b'.') {
            end += 1;
            while digit(end) || bytes.get(end) == Some(&b'_') {
                end += 1;
            }
        }
        if matches!(bytes.get(end), Some(b'e' | b'E')) {
            let sign = usize::from(matches!(bytes.get(end + 1), Some(b'+' | b'-')));
            end += 1 + sign;
            while digit(end) {
                end += 1;
            }
        }
        // A number that runs into letters is one mistake, not two tokens.
        let mut rest = self.rest[end..].chars();
        end += rest
            .by_ref()
            .take_while(|c| c.is_alphanumeric() || *c == '_')
            .map(char::len_utf8)
            .sum::<usize>();
        self.take(end)
    }

    fn skip_space(&mut self) -> Result<(), SyntaxError> {
        loop {
            self.take_while(char::is_whitespace);
            if self.rest.starts_with("//") {
                self.take_while(|c| c != '\n');
            } else if self.rest.starts_with("/*") {
                let Some(end) = self.rest.find("*/") else {
                    return Err(SyntaxError::Comment { at: self.at });
                };
                self.take(end + 2);
            } else {
                return Ok(());
            }
        }
    }

    fn take_while(&mut self, accepts: impl Fn(char) -> bool) -> &'a str {
        let end = self.rest.find(|c| !accepts(c)).unwrap_or(self.rest.len());
        self.take(end)
    }

    fn take(&mut self, bytes: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at(bytes);
        self.rest = rest;
        for character in taken.chars() {
            if character == '\n' {
                self.at.line += 1;
                self.at.column = 1;
            } else {
                self.at.column += 1;
            }
        }
        taken
    }
}

fn starts_name(character: char) -> bool {
    character.is_alphabetic() || matches!(character, '_' | '$')
}

fn continues_name(character: char) -> bool {
    starts_name(character) || character.is_numeric()
}
