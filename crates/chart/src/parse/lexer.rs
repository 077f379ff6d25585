//! From text to tokens, by Go's rules for delimiters, trim markers and terminators.

const LEFT: &str = "{{";
const RIGHT: &str = "}}";
const SPACES: [char; 4] = [' ', '\t', '\r', '\n'];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Token {
    Text,
    Left,
    Right,
    Space,
    Identifier,
    Keyword,
    Field,
    Variable,
    Dot,
    Bool,
    Nil,
    Number,
    Character,
    String,
    RawString,
    Pipe,
    Assign,
    Declare,
    OpenParen,
    CloseParen,
    /// Any other printable character; the parser accepts only commas.
    Other,
    End,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Item<'a> {
    pub(super) token: Token,
    pub(super) position: usize,
    pub(super) text: &'a str,
    pub(super) line: usize,
}

pub(super) struct Lexer<'a> {
    input: &'a str,
    start: usize,
    position: usize,
    line: usize,
    inside: bool,
    parens: usize,
}

impl<'a> Lexer<'a> {
    pub(super) fn new(input: &'a str) -> Self {
        Lexer {
            input,
            start: 0,
            position: 0,
            line: 1,
            inside: false,
            parens: 0,
        }
    }

    /// Returns the next token, or what is wrong with the text there.
    pub(super) fn next(&mut self) -> Result<Item<'a>, (usize, String)> {
        let item = if self.inside { self.in_action() } else { self.in_text() };
        item.map_err(|message| (self.line, message))
    }

    fn rest(&self) -> &'a str {
        &self.input[self.position..]
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn bump(&mut self) -> Option<char> {
        let next = self.peek()?;
        self.position += next.len_utf8();
        if next == '\n' {
            self.line += 1;
        }
        Some(next)
    }

    fn accept(&mut self, set: &str) -> bool {
        let accepted = self.peek().is_some_and(|next| set.contains(next));
        if accepted {
            self.bump();
        }
        accepted
    }

    fn accept_run(&mut self, set: &str) {
        while self.accept(set) {}
    }

    /// Ends the current token. Its line is the one it begins in.
    fn emit(&mut self, token: Token) -> Item<'a> {
        let text = &self.input[self.start..self.position];
        let line = self.line - text.matches('\n').count();
        let item = Item {
            token,
            position: self.start,
            text,
            line,
        };
        self.start = self.position;
        item
    }

    /// Moves on without making a token.
    fn skip_to(&mut self, position: usize) {
        self.line += self.input[self.position..position].matches('\n').count();
        self.position = position;
        self.start = position;
    }

    fn in_text(&mut self) -> Result<Item<'a>, String> {
        loop {
            let rest = self.rest();
            let Some(at) = rest.find(LEFT) else {
                if rest.is_empty() {
                    return Ok(self.emit(Token::End));
                }
                return Ok(self.text_until(self.input.len(), self.input.len()));
            };
            if at > 0 {
                let delimiter = self.position + at;
                let text = &rest[..at];
                let end = if trims_left(&self.input[delimiter + LEFT.len()..]) {
                    self.position + text.trim_end_matches(SPACES).len()
                } else {
                    delimiter
                };
                if end > self.start {
                    return Ok(self.text_until(end, delimiter));
                }
                self.skip_to(delimiter);
            }
            let after = self.position + LEFT.len();
            let marker = if trims_left(&self.input[after..]) { 2 } else { 0 };
            if self.input[after + marker..].starts_with("/*") {
                self.comment(after + marker)?;
                continue;
            }
            self.position = after;
            let item = self.emit(Token::Left);
            self.skip_to(after + marker);
            self.inside = true;
            self.parens = 0;
            return Ok(item);
        }
    }

    fn text_until(&mut self, end: usize, resume: usize) -> Item<'a> {
        let item = Item {
            token: Token::Text,
            position: self.start,
            text: &self.input[self.start..end],
            line: self.line,
        };
        self.skip_to(resume);
        item
    }

    fn comment(&mut self, start: usize) -> Result<(), String> {
        let Some(length) = self.input[start..].find("*/") else {
            return Err("unclosed comment".to_owned());
        };
        let mut end = start + length + 2;
        let rest = &self.input[end..];
        let trims = trims_right(rest);
        if !trims && !rest.starts_with(RIGHT) {
            return Err("comment ends before closing delimiter".to_owned());
        }
        end += if trims { 2 + RIGHT.len() } else { RIGHT.len() };
        if trims {
            end += leading_space(&self.input[end..]);
        }
        self.skip_to(end);
        Ok(())
    }

    fn in_action(&mut self) -> Result<Item<'a>, String> {
        let trims = trims_right(self.rest());
        if trims || self.rest().starts_with(RIGHT) {
            if self.parens > 0 {
                return Err("unclosed left paren".to_owned());
            }
            return Ok(self.right(trims));
        }
        let Some(next) = self.bump() else {
            return Err("unclosed action".to_owned());
        };
        match next {
            ' ' | '\t' | '\r' | '\n' => Ok(self.space()),
            '=' => Ok(self.emit(Token::Assign)),
            ':' if self.accept("=") => Ok(self.emit(Token::Declare)),
            ':' => Err("expected :=".to_owned()),
            '|' => Ok(self.emit(Token::Pipe)),
            '"' => self.quoted('"', "unterminated quoted string", Token::String),
            '\'' => self.quoted('\'', "unterminated character constant", Token::Character),
            '`' => {
                while let Some(next) = self.bump() {
                    if next == '`' {
                        return Ok(self.emit(Token::RawString));
                    }
                }
                Err("unterminated raw quoted string".to_owned())
            }
            '$' => self.name(Token::Variable),
            '.' if !self.peek().is_some_and(|next| next.is_ascii_digit()) => {
                if self.at_terminator() {
                    return Ok(self.emit(Token::Dot));
                }
                self.name(Token::Field)
            }
            '.' | '+' | '-' | '0'..='9' => {
                self.position = self.start;
                self.number()
            }
            '(' => {
                self.parens += 1;
                Ok(self.emit(Token::OpenParen))
            }
            ')' => {
                if self.parens == 0 {
                    return Err("unexpected right paren".to_owned());
                }
                self.parens -= 1;
                Ok(self.emit(Token::CloseParen))
            }
            _ if is_name(next) => self.identifier(),
            ' '..='~' => Ok(self.emit(Token::Other)),
            _ => Err(format!("unrecognized character in action: {}", described(next))),
        }
    }

    fn right(&mut self, trims: bool) -> Item<'a> {
        if trims {
            self.skip_to(self.position + 2);
        }
        self.position += RIGHT.len();
        let item = self.emit(Token::Right);
        if trims {
            self.skip_to(self.position + leading_space(self.rest()));
        }
        self.inside = false;
        item
    }

    /// A run of space, whose last character may belong to a trim marker.
    fn space(&mut self) -> Item<'a> {
        while self.peek().is_some_and(|next| SPACES.contains(&next)) {
            self.bump();
        }
        if self.rest().starts_with("-}}") {
            let last = self.position - 1;
            if last == self.start {
                self.position = self.start;
                return self.right(true);
            }
            if self.input.as_bytes()[last] == b'\n' {
                self.line -= 1;
            }
            self.position = last;
        }
        self.emit(Token::Space)
    }

    fn name(&mut self, token: Token) -> Result<Item<'a>, String> {
        while self.peek().is_some_and(is_name) {
            self.bump();
        }
        self.check_terminator()?;
        Ok(self.emit(token))
    }

    fn identifier(&mut self) -> Result<Item<'a>, String> {
        while self.peek().is_some_and(is_name) {
            self.bump();
        }
        self.check_terminator()?;
        let token = match &self.input[self.start..self.position] {
            "true" | "false" => Token::Bool,
            "nil" => Token::Nil,
            "block" | "break" | "continue" | "define" | "else" | "end" | "if" | "range" | "template" | "with" => {
                Token::Keyword
            }
            _ => Token::Identifier,
        };
        Ok(self.emit(token))
    }

    fn check_terminator(&self) -> Result<(), String> {
        if self.at_terminator() {
            return Ok(());
        }
        let character = self.peek().map_or_else(String::new, described);
        Err(format!("bad character {character}"))
    }

    fn at_terminator(&self) -> bool {
        match self.peek() {
            None | Some(' ' | '\t' | '\r' | '\n' | '.' | ',' | '|' | ':' | ')' | '(') => true,
            Some(_) => self.rest().starts_with(RIGHT),
        }
    }

    fn quoted(&mut self, quote: char, unterminated: &str, token: Token) -> Result<Item<'a>, String> {
        loop {
            match self.bump() {
                Some('\\') => match self.bump() {
                    None | Some('\n') => return Err(unterminated.to_owned()),
                    Some(_) => {}
                },
                None | Some('\n') => return Err(unterminated.to_owned()),
                Some(next) if next == quote => return Ok(self.emit(token)),
                Some(_) => {}
            }
        }
    }

    fn number(&mut self) -> Result<Item<'a>, String> {
        let bad = |lexer: &Self| format!("bad number syntax: {:?}", &lexer.input[lexer.start..lexer.position]);
        if !self.scan_number() {
            return Err(bad(self));
        }
        if self.peek().is_some_and(|next| next == '+' || next == '-')
            && (!self.scan_number() || !self.input[..self.position].ends_with('i'))
        {
            return Err(bad(self));
        }
        Ok(self.emit(Token::Number))
    }

    fn scan_number(&mut self) -> bool {
        self.accept("+-");
        let mut digits = "0123456789_";
        if self.accept("0") {
            if self.accept("xX") {
                digits = "0123456789abcdefABCDEF_";
            } else if self.accept("oO") {
                digits = "01234567_";
            } else if self.accept("bB") {
                digits = "01_";
            }
        }
        self.accept_run(digits);
        if self.accept(".") {
            self.accept_run(digits);
        }
        let exponent = match digits.len() {
            11 => self.accept("eE"),
            23 => self.accept("pP"),
            _ => false,
        };
        if exponent {
            self.accept("+-");
            self.accept_run("0123456789_");
        }
        self.accept("i");
        if self.peek().is_some_and(is_name) {
            self.bump();
            return false;
        }
        true
    }
}

fn trims_left(after_delimiter: &str) -> bool {
    let bytes = after_delimiter.as_bytes();
    matches!(bytes, [b'-', b' ' | b'\t' | b'\r' | b'\n', ..])
}

fn trims_right(rest: &str) -> bool {
    matches!(rest.as_bytes(), [b' ' | b'\t' | b'\r' | b'\n', b'-', b'}', b'}', ..])
}

fn leading_space(text: &str) -> usize {
    text.len() - text.trim_start_matches(SPACES).len()
}

fn is_name(character: char) -> bool {
    character == '_' || character.is_alphabetic() || character.is_ascii_digit()
}

/// A character as Go's `%#U` shows it.
fn described(character: char) -> String {
    format!("U+{:04X} '{character}'", u32::from(character))
}
