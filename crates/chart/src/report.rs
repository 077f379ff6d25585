//! What went wrong while rendering, told so that the template can be mended: Helm's own sentence first, which scripts look
//! for, then where it happened, through which templates, and the line itself.

use std::fmt;
use std::fmt::Write;

use annotate_snippets::AnnotationKind;
use annotate_snippets::Level;
use annotate_snippets::Renderer;
use annotate_snippets::Snippet;
use thiserror::Error;

use crate::eval::Fault;
use crate::eval::Frame;
use crate::values::ValuesError;

/// Why a chart could not be rendered.
#[derive(Debug, Error)]
pub enum Error {
    /// A template is not well formed.
    #[error("parse error at ({file}:{line}): {message}")]
    Parse {
        /// The template.
        file: String,
        /// Counted from 1.
        line: usize,
        /// What is wrong.
        message: String,
    },
    /// A template stopped.
    #[error("{0}")]
    Template(Box<TemplateError>),
    /// A template rendered something that is not YAML.
    #[error("YAML parse error on {file}: {reason}")]
    Yaml {
        /// The template.
        file: String,
        /// What is wrong.
        reason: String,
    },
    /// The values do not fit the charts.
    #[error(transparent)]
    Values(#[from] ValuesError),
    /// `Chart.yaml` lists dependencies that `charts/` lacks.
    #[error(
        "an error occurred while checking for chart dependencies. You may need to fetch them first: \
         found in Chart.yaml, but missing in charts/ directory: {}",
        names.join(", ")
    )]
    Missing {
        /// Which.
        names: Vec<String>,
    },
    /// The chart does not support this Kubernetes.
    #[error("chart requires kubeVersion: {range} which is incompatible with Kubernetes {version}")]
    KubeVersion {
        /// What the chart asks for.
        range: String,
        /// What there is.
        version: String,
    },
    /// The chart is a library.
    #[error("library charts are not installable")]
    Library,
}

/// An error while a template ran.
#[derive(Debug)]
pub struct TemplateError {
    /// What happened, without the places.
    pub message: String,
    /// Whether the chart itself refused, with `fail` or `required`.
    pub refused: bool,
    /// The templates that led there, the outermost first; never empty.
    pub trail: Vec<Place>,
}

/// A place in a template.
#[derive(Debug)]
pub struct Place {
    /// The file; `gotpl` for a text that was given to `tpl`.
    pub file: String,
    /// Counted from 1.
    pub line: usize,
    /// Counted in bytes from 0, as Go counts.
    pub column: usize,
    /// The template that was running: a file, or the name of a definition.
    pub template: String,
    /// The expression.
    pub expression: String,
    /// What stands between this place and the next one in Helm's sentence.
    prefix: String,
    /// The file's text.
    source: String,
}

impl TemplateError {
    pub(crate) fn new(fault: Fault) -> Self {
        let trail = fault.frames.into_iter().map(Place::new).collect();
        TemplateError {
            message: fault.message,
            refused: fault.refused,
            trail,
        }
    }

    /// Helm's own sentence.
    pub fn sentence(&self) -> String {
        if let (true, Some(first)) = (self.refused, self.trail.first()) {
            return format!(
                "execution error at ({}:{}:{}): {}",
                first.file, first.line, first.column, self.message
            );
        }
        let mut sentence = String::new();
        for place in &self.trail {
            write!(
                sentence,
                "template: {}:{}:{}: executing {} at <{}>: {}",
                place.file,
                place.line,
                place.column,
                crate::format::quote(&place.template),
                place.expression,
                place.prefix,
            )
            .expect("writing to a string cannot fail");
        }
        sentence + &self.message
    }

    /// The place where it happened.
    pub fn place(&self) -> Option<&Place> {
        self.trail.last()
    }

    /// The message with the line it is about and the templates that led there, in plain text.
    pub fn explain(&self) -> String {
        let Some(place) = self.place() else {
            return self.message.clone();
        };
        let start = place.offset().min(place.source.len());
        let end = (start + place.expression.len().max(1)).min(place.source.len());
        let (start, end) = (floor(&place.source, start), floor(&place.source, end));
        let snippet = Snippet::source(place.source.as_str())
            .path(place.file.as_str())
            .annotation(AnnotationKind::Primary.span(start..end.max(start)));
        let mut group = Level::ERROR.primary_title(self.message.as_str()).element(snippet);
        for outer in self.trail.iter().rev().skip(1) {
            let note = format!("included from {}:{}, in `{}`", outer.file, outer.line, outer.template);
            group = group.element(Level::NOTE.message(note));
        }
        if let Some(help) = advice(&self.message) {
            group = group.element(Level::HELP.message(help));
        }
        Renderer::plain().render(&[group])
    }
}

impl fmt::Display for TemplateError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.sentence())
    }
}

impl Place {
    fn new(frame: Frame) -> Self {
        Place {
            file: frame.file.to_string(),
            line: frame.line,
            column: frame.column,
            template: frame.template.to_string(),
            expression: frame.at,
            prefix: frame.prefix,
            source: frame.source.to_string(),
        }
    }

    fn offset(&self) -> usize {
        let lines = self.source.split_inclusive('\n').take(self.line.saturating_sub(1));
        lines.map(str::len).sum::<usize>() + self.column
    }
}

fn floor(text: &str, mut at: usize) -> usize {
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

/// What to do about the errors that charts meet most.
fn advice(message: &str) -> Option<&'static str> {
    let advice = [
        (
            "nil pointer evaluating",
            "a value on this path is not set; set it, or guard it with `if` or `with`",
        ),
        (
            "can't evaluate field",
            "the value is not a map; compare it with the chart's values.yaml",
        ),
        (
            "wrong type for value",
            "convert it first, with `toString`, `int` or `float64`",
        ),
        (
            "incompatible types for comparison",
            "convert one side first; numbers from values are floats",
        ),
        ("can't iterate over", "only lists and maps can be walked"),
        (
            "not defined",
            "no template in this chart or its dependencies defines this name",
        ),
        (
            "no template",
            "no template in this chart or its dependencies defines this name",
        ),
    ];
    advice
        .into_iter()
        .find(|(sign, _)| message.contains(sign))
        .map(|(_, advice)| advice)
}
