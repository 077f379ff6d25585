//! From tokens to trees.

use std::collections::VecDeque;
use std::rc::Rc;

use super::ast::Branch;
use super::ast::Command;
use super::ast::Kind;
use super::ast::Node;
use super::ast::Number;
use super::ast::Pipe;
use super::ast::Position;
use super::ast::Tree;
use super::ast::Word;
use super::lexer::Item;
use super::lexer::Lexer;
use super::lexer::Token;
use super::literal;
use crate::funcs::Functions;

/// Blocks and parentheses nested deeper than this are refused.
const DEPTH: usize = 1_000;

/// Why a text is no template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ParseError {
    pub(crate) file: Rc<str>,
    pub(crate) line: usize,
    pub(crate) message: String,
}

/// Parses a file. The first tree is its body; the others are its definitions, in order.
pub(crate) fn parse(file: &str, source: &str, functions: &Functions) -> Result<Vec<Tree>, ParseError> {
    let file: Rc<str> = file.into();
    let mut parser = Parser {
        lexer: Lexer::new(source),
        ahead: VecDeque::new(),
        line: 1,
        action_line: None,
        functions,
        file: Rc::clone(&file),
        source: source.into(),
        variables: vec!["$".into()],
        loops: 0,
        depth: 0,
        definitions: Vec::new(),
    };
    match parser.file() {
        Ok(root) => {
            let mut trees = vec![Tree {
                name: Rc::clone(&file),
                file,
                source: parser.source,
                root,
            }];
            trees.append(&mut parser.definitions);
            Ok(trees)
        }
        Err(Wrong { line, message }) => Err(ParseError { file, line, message }),
    }
}

struct Wrong {
    line: usize,
    message: String,
}

struct Parser<'a> {
    lexer: Lexer<'a>,
    ahead: VecDeque<Item<'a>>,
    /// The line of the token taken last.
    line: usize,
    action_line: Option<usize>,
    functions: &'a Functions,
    file: Rc<str>,
    source: Rc<str>,
    variables: Vec<Rc<str>>,
    loops: usize,
    depth: usize,
    definitions: Vec<Tree>,
}

/// What ended a list of nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    End,
    Else,
}

enum Parsed {
    Node(Node),
    Ending(Ending),
}

impl<'a> Parser<'a> {
    fn wrong<T>(&self, message: impl Into<String>) -> Result<T, Wrong> {
        Err(Wrong {
            line: self.line,
            message: message.into(),
        })
    }

    fn next(&mut self) -> Result<Item<'a>, Wrong> {
        let item = match self.ahead.pop_front() {
            Some(item) => item,
            None => self.lex()?,
        };
        self.line = item.line;
        Ok(item)
    }

    fn lex(&mut self) -> Result<Item<'a>, Wrong> {
        let action_line = self.action_line;
        self.lexer.next().map_err(|(line, message)| {
            let message = match action_line {
                Some(start) if start != line && message == "unclosed action" => {
                    format!("unclosed action started at {}:{start}", self.file)
                }
                _ => message,
            };
            Wrong { line, message }
        })
    }

    fn back(&mut self, item: Item<'a>) {
        self.ahead.push_front(item);
    }

    fn peek(&mut self) -> Result<Item<'a>, Wrong> {
        if let Some(item) = self.ahead.front() {
            return Ok(*item);
        }
        let item = self.lex()?;
        self.ahead.push_front(item);
        Ok(item)
    }

    fn next_word(&mut self) -> Result<Item<'a>, Wrong> {
        loop {
            let item = self.next()?;
            if item.token != Token::Space {
                return Ok(item);
            }
        }
    }

    fn peek_word(&mut self) -> Result<Item<'a>, Wrong> {
        let item = self.next_word()?;
        self.back(item);
        Ok(item)
    }

    fn unexpected<T>(&self, item: Item<'a>, context: &str) -> Result<T, Wrong> {
        let shown = match item.token {
            Token::End => "EOF".to_owned(),
            Token::Keyword => format!("<{}>", item.text),
            _ if item.text.chars().count() > 10 => {
                format!("{:?}...", item.text.chars().take(10).collect::<String>())
            }
            _ => format!("{:?}", item.text),
        };
        self.wrong(format!("unexpected {shown} in {context}"))
    }

    fn expect(&mut self, token: Token, context: &str) -> Result<Item<'a>, Wrong> {
        let item = self.next_word()?;
        if item.token != token {
            return self.unexpected(item, context);
        }
        Ok(item)
    }

    fn enter(&mut self) -> Result<(), Wrong> {
        self.depth += 1;
        if self.depth > DEPTH {
            return self.wrong("max expression depth exceeded");
        }
        Ok(())
    }

    fn file(&mut self) -> Result<Vec<Node>, Wrong> {
        let mut root = Vec::new();
        loop {
            let item = self.peek()?;
            if item.token == Token::End {
                return Ok(root);
            }
            if item.token == Token::Left {
                let delimiter = self.next()?;
                let word = self.next_word()?;
                if word.token == Token::Keyword && word.text == "define" {
                    self.definition()?;
                    continue;
                }
                self.back(word);
                self.back(delimiter);
            }
            match self.text_or_action()? {
                Parsed::Node(node) => root.push(node),
                Parsed::Ending(ending) => return self.wrong(format!("unexpected {}", ending.shown())),
            }
        }
    }

    fn definition(&mut self) -> Result<(), Wrong> {
        const CONTEXT: &str = "define clause";
        let name = self.name(CONTEXT)?;
        self.expect(Token::Right, CONTEXT)?;
        let outer = std::mem::replace(&mut self.variables, vec!["$".into()]);
        let loops = std::mem::take(&mut self.loops);
        let (root, ending) = self.list()?;
        if ending != Ending::End {
            return self.wrong(format!("unexpected {} in {CONTEXT}", ending.shown()));
        }
        self.variables = outer;
        self.loops = loops;
        self.define(name, root)
    }

    /// Adds a definition. Within one file, a second body under the same name is an error unless one of the two is empty.
    fn define(&mut self, name: Rc<str>, root: Vec<Node>) -> Result<(), Wrong> {
        let tree = Tree {
            name,
            file: Rc::clone(&self.file),
            source: Rc::clone(&self.source),
            root,
        };
        match self.definitions.iter_mut().find(|known| known.name == tree.name) {
            None => self.definitions.push(tree),
            Some(known) if known.is_empty() => *known = tree,
            Some(_) if tree.is_empty() => {}
            Some(_) => return self.wrong(format!("template: multiple definition of template {:?}", tree.name)),
        }
        Ok(())
    }

    fn name(&mut self, context: &str) -> Result<Rc<str>, Wrong> {
        let item = self.next_word()?;
        if !matches!(item.token, Token::String | Token::RawString) {
            return self.unexpected(item, context);
        }
        match literal::unquote(item.text) {
            Some(name) => Ok(name.into()),
            None => self.wrong("invalid syntax"),
        }
    }

    fn list(&mut self) -> Result<(Vec<Node>, Ending), Wrong> {
        self.enter()?;
        let mut nodes = Vec::new();
        while self.peek_word()?.token != Token::End {
            match self.text_or_action()? {
                Parsed::Node(node) => nodes.push(node),
                Parsed::Ending(ending) => {
                    self.depth -= 1;
                    return Ok((nodes, ending));
                }
            }
        }
        self.wrong("unexpected EOF")
    }

    fn text_or_action(&mut self) -> Result<Parsed, Wrong> {
        let item = self.next_word()?;
        match item.token {
            Token::Text => Ok(Parsed::Node(Node::Text(item.text.into()))),
            Token::Left => {
                self.action_line = Some(item.line);
                let parsed = self.action();
                self.action_line = None;
                parsed
            }
            _ => self.unexpected(item, "input"),
        }
    }

    fn action(&mut self) -> Result<Parsed, Wrong> {
        let item = self.next_word()?;
        if item.token == Token::Keyword {
            let node = match item.text {
                "block" => self.block(item)?,
                "break" | "continue" => self.jump(item)?,
                "if" => Node::If(self.branch("if")?),
                "range" => Node::Range(self.branch("range")?),
                "with" => Node::With(self.branch("with")?),
                "template" => self.template(item)?,
                "end" => {
                    self.expect(Token::Right, "end")?;
                    return Ok(Parsed::Ending(Ending::End));
                }
                "else" => {
                    let next = self.peek_word()?;
                    if !(next.token == Token::Keyword && matches!(next.text, "if" | "with")) {
                        self.expect(Token::Right, "else")?;
                    }
                    return Ok(Parsed::Ending(Ending::Else));
                }
                _ => return self.unexpected(item, "command"),
            };
            return Ok(Parsed::Node(node));
        }
        self.back(item);
        // Variables declared here live until the enclosing block ends.
        Ok(Parsed::Node(Node::Action(self.pipeline("command", Token::Right)?)))
    }

    fn jump(&mut self, item: Item<'a>) -> Result<Node, Wrong> {
        let context = format!("{{{{{}}}}}", item.text);
        let next = self.next_word()?;
        if next.token != Token::Right {
            return self.unexpected(next, &context);
        }
        if self.loops == 0 {
            return self.wrong(format!("{context} outside {{{{range}}}}"));
        }
        Ok(if item.text == "break" {
            Node::Break
        } else {
            Node::Continue
        })
    }

    fn branch(&mut self, context: &str) -> Result<Branch, Wrong> {
        let known = self.variables.len();
        let pipe = self.pipeline(context, Token::Right)?;
        let looping = usize::from(context == "range");
        self.loops += looping;
        let (body, ending) = self.list()?;
        self.loops -= looping;
        let otherwise = match ending {
            Ending::End => None,
            Ending::Else => Some(self.otherwise(context)?),
        };
        self.variables.truncate(known);
        Ok(Branch { pipe, body, otherwise })
    }

    /// `else if` and `else with` share the `end` of what they belong to.
    fn otherwise(&mut self, context: &str) -> Result<Vec<Node>, Wrong> {
        let next = self.peek()?;
        let next = if next.token == Token::Space {
            self.peek_word()?
        } else {
            next
        };
        if next.token == Token::Keyword && next.text == context && context != "range" {
            self.next_word()?;
            self.enter()?;
            let branch = self.branch(context)?;
            self.depth -= 1;
            return Ok(vec![if context == "if" {
                Node::If(branch)
            } else {
                Node::With(branch)
            }]);
        }
        let (nodes, ending) = self.list()?;
        if ending != Ending::End {
            return self.wrong(format!("expected end; found {}", ending.shown()));
        }
        Ok(nodes)
    }

    fn template(&mut self, item: Item<'a>) -> Result<Node, Wrong> {
        const CONTEXT: &str = "template clause";
        let _ = item;
        let position = self.peek_word()?.position;
        let name = self.name(CONTEXT)?;
        let argument = self.argument(CONTEXT)?;
        Ok(Node::Template {
            position: offset(position),
            name,
            argument,
        })
    }

    fn argument(&mut self, context: &str) -> Result<Option<Pipe>, Wrong> {
        let next = self.next_word()?;
        if next.token == Token::Right {
            return Ok(None);
        }
        self.back(next);
        self.pipeline(context, Token::Right).map(Some)
    }

    fn block(&mut self, item: Item<'a>) -> Result<Node, Wrong> {
        const CONTEXT: &str = "block clause";
        let _ = item;
        let position = self.peek_word()?.position;
        let name = self.name(CONTEXT)?;
        let argument = self.pipeline(CONTEXT, Token::Right)?;
        let outer = std::mem::replace(&mut self.variables, vec!["$".into()]);
        let loops = std::mem::take(&mut self.loops);
        let (root, ending) = self.list()?;
        if ending != Ending::End {
            return self.wrong(format!("unexpected {} in {CONTEXT}", ending.shown()));
        }
        self.variables = outer;
        self.loops = loops;
        self.define(Rc::clone(&name), root)?;
        Ok(Node::Template {
            position: offset(position),
            name,
            argument: Some(argument),
        })
    }

    fn pipeline(&mut self, context: &str, end: Token) -> Result<Pipe, Wrong> {
        let position = offset(self.peek_word()?.position);
        let (targets, assigns) = self.targets(context)?;
        let mut commands: Vec<Command> = Vec::new();
        loop {
            let item = self.next_word()?;
            match item.token {
                token if token == end => break,
                Token::Bool
                | Token::Character
                | Token::Dot
                | Token::Field
                | Token::Identifier
                | Token::Number
                | Token::Nil
                | Token::RawString
                | Token::String
                | Token::Variable
                | Token::OpenParen => {
                    self.back(item);
                    commands.push(self.command()?);
                }
                _ => return self.unexpected(item, context),
            }
        }
        if commands.is_empty() {
            return self.wrong(format!("missing value for {context}"));
        }
        for (stage, command) in commands.iter().enumerate().skip(1) {
            let first = command.words.first().map(|word| &word.kind);
            if let Some(Kind::Bool(_) | Kind::Dot | Kind::Nil | Kind::Number { .. } | Kind::String { .. }) = first {
                return self.wrong(format!("non executable command in pipeline stage {}", stage + 1));
            }
        }
        Ok(Pipe {
            position,
            targets,
            assigns,
            commands,
        })
    }

    /// The variables that a pipeline declares or assigns, if it does.
    fn targets(&mut self, context: &str) -> Result<(Vec<Rc<str>>, bool), Wrong> {
        let mut targets: Vec<Rc<str>> = Vec::new();
        loop {
            let variable = self.peek_word()?;
            if variable.token != Token::Variable {
                return Ok((targets, false));
            }
            self.next_word()?;
            let after = self.peek()?;
            let next = self.next_word()?;
            match next.token {
                Token::Assign | Token::Declare => {
                    targets.push(self.declare(variable.text));
                    return Ok((targets, next.token == Token::Assign));
                }
                Token::Other if next.text == "," => {
                    targets.push(self.declare(variable.text));
                    if context != "range" || targets.len() > 1 {
                        return self.wrong(format!("too many declarations in {context}"));
                    }
                    let following = self.peek_word()?;
                    if !matches!(following.token, Token::Variable | Token::Right | Token::CloseParen) {
                        return self.wrong("range can only initialize variables");
                    }
                }
                _ => {
                    self.back(next);
                    if after.token == Token::Space {
                        self.back(after);
                    }
                    self.back(variable);
                    return Ok((targets, false));
                }
            }
        }
    }

    fn declare(&mut self, name: &str) -> Rc<str> {
        let name: Rc<str> = name.into();
        self.variables.push(Rc::clone(&name));
        name
    }

    fn command(&mut self) -> Result<Command, Wrong> {
        let position = offset(self.peek_word()?.position);
        let mut words = Vec::new();
        loop {
            self.peek_word()?;
            if let Some(word) = self.operand()? {
                words.push(word);
            }
            let item = self.next()?;
            match item.token {
                Token::Space => continue,
                Token::Right | Token::CloseParen => self.back(item),
                Token::Pipe => {}
                _ => return self.unexpected(item, "operand"),
            }
            break;
        }
        if words.is_empty() {
            return self.wrong("empty command");
        }
        Ok(Command { position, words })
    }

    fn operand(&mut self) -> Result<Option<Word>, Wrong> {
        let Some(word) = self.term()? else {
            return Ok(None);
        };
        let next = self.peek()?;
        if next.token != Token::Field {
            return Ok(Some(word));
        }
        let mut fields: Vec<Rc<str>> = Vec::new();
        while self.peek()?.token == Token::Field {
            fields.push(self.next()?.text[1..].into());
        }
        let position = offset(next.position);
        let kind = match word.kind {
            Kind::Field(mut path) => {
                path.append(&mut fields);
                Kind::Field(path)
            }
            Kind::Variable { name, fields: mut path } => {
                path.append(&mut fields);
                Kind::Variable { name, fields: path }
            }
            Kind::Bool(_) | Kind::String { .. } | Kind::Number { .. } | Kind::Nil | Kind::Dot => {
                return self.wrong(format!("unexpected . after term {:?}", word.to_string()));
            }
            _ => Kind::Chain {
                base: Box::new(word),
                fields,
            },
        };
        Ok(Some(Word { position, kind }))
    }

    fn term(&mut self) -> Result<Option<Word>, Wrong> {
        let item = self.next_word()?;
        let kind = match item.token {
            Token::Identifier => match self.functions.get(item.text) {
                Some(function) => Kind::Function(function),
                None => return self.wrong(format!("function {:?} not defined", item.text)),
            },
            Token::Dot => Kind::Dot,
            Token::Nil => Kind::Nil,
            Token::Bool => Kind::Bool(item.text == "true"),
            Token::Variable => self.variable(item.text)?,
            Token::Field => Kind::Field(vec![item.text[1..].into()]),
            Token::Character => match literal::rune(item.text) {
                #[expect(clippy::cast_precision_loss, reason = "a code point fits a float exactly")]
                Some(code) => Kind::Number {
                    text: item.text.into(),
                    number: Number {
                        int: Some(code),
                        uint: u64::try_from(code).ok(),
                        float: Some(code as f64),
                        fractional: false,
                    },
                },
                None => return self.wrong(format!("malformed character constant: {}", item.text)),
            },
            Token::Number => match literal::number(item.text) {
                Some(number) if number.int.is_none() && number.uint.is_none() && !number.fractional => {
                    return self.wrong(format!("integer overflow: {:?}", item.text));
                }
                Some(number) => Kind::Number {
                    text: item.text.into(),
                    number,
                },
                None => return self.wrong(format!("illegal number syntax: {:?}", item.text)),
            },
            Token::OpenParen => {
                self.enter()?;
                let pipe = self.pipeline("parenthesized pipeline", Token::CloseParen)?;
                self.depth -= 1;
                let position = pipe.position;
                return Ok(Some(Word {
                    position,
                    kind: Kind::Pipe(pipe),
                }));
            }
            Token::String | Token::RawString => match literal::unquote(item.text) {
                Some(text) => Kind::String {
                    quoted: item.text.into(),
                    text: text.into(),
                },
                None => return self.wrong("invalid syntax"),
            },
            _ => {
                self.back(item);
                return Ok(None);
            }
        };
        Ok(Some(Word {
            position: offset(item.position),
            kind,
        }))
    }

    fn variable(&mut self, name: &str) -> Result<Kind, Wrong> {
        if !self.variables.iter().any(|known| **known == *name) {
            return self.wrong(format!("undefined variable {name:?}"));
        }
        Ok(Kind::Variable {
            name: name.into(),
            fields: Vec::new(),
        })
    }
}

impl Ending {
    fn shown(self) -> &'static str {
        match self {
            Ending::End => "{{end}}",
            Ending::Else => "{{else}}",
        }
    }
}

/// Templates are at most a few megabytes; what lies beyond four gigabytes has no exact position.
fn offset(position: usize) -> Position {
    Position::try_from(position).unwrap_or(Position::MAX)
}
