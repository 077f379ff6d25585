//! What is wrong with a stack's files: each mistake with its place and the next step.

use std::collections::BTreeMap;
use std::fmt;

use annotate_snippets::AnnotationKind;
use annotate_snippets::Level;
use annotate_snippets::Renderer;
use annotate_snippets::Snippet;

use crate::error::Hint;
use crate::stack::file::File;
use crate::stack::file::Span;

/// One mistake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The file it stands in.
    pub file: String,
    /// Where it stands.
    pub at: Span,
    /// What is wrong.
    pub message: String,
    /// What to do next.
    pub hint: Option<String>,
}

/// Every mistake of a stack, and the text it stands in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problems {
    // Invariant: `problems` is not empty, is sorted, and every file in it is a key of `texts`.
    problems: Vec<Problem>,
    texts: BTreeMap<String, String>,
}

impl Problem {
    /// A mistake in a file.
    pub fn new(file: &File, at: Span, message: impl Into<String>, hint: Option<String>) -> Self {
        Self {
            file: file.path.clone(),
            at,
            message: message.into(),
            hint,
        }
    }
}

impl Problems {
    /// The mistakes in these files, or none.
    pub fn of(mut problems: Vec<Problem>, files: &[&File]) -> Option<Self> {
        problems.retain(|problem| files.iter().any(|file| file.path == problem.file));
        problems.sort_by(|a, b| (&a.file, a.at.start, &a.message).cmp(&(&b.file, b.at.start, &b.message)));
        problems.dedup();
        let texts = files
            .iter()
            .map(|file| (file.path.clone(), file.text.clone()))
            .collect();
        (!problems.is_empty()).then_some(Self { problems, texts })
    }

    /// Each mistake, in the order of the files.
    pub fn iter(&self) -> impl Iterator<Item = &Problem> {
        self.problems.iter()
    }

    /// Every mistake with its place, its line and the next step, as the renderer draws it.
    pub fn report(&self, renderer: &Renderer) -> String {
        let reports: Vec<String> = self.iter().map(|problem| self.report_one(problem, renderer)).collect();
        reports.join("\n\n")
    }

    fn report_one(&self, problem: &Problem, renderer: &Renderer) -> String {
        let text = self.texts.get(&problem.file).map_or("", String::as_str);
        let start = problem.at.start.min(text.len());
        let end = problem.at.end.clamp(start, text.len());
        let marked = AnnotationKind::Primary.span(start..end);
        let snippet = Snippet::source(text).path(&problem.file).annotation(marked);
        let mut group = Level::ERROR.primary_title(&problem.message).element(snippet);
        if let Some(hint) = &problem.hint {
            group = group.element(Level::HELP.message(hint));
        }
        renderer.render(&[group])
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.report(&Renderer::plain()))
    }
}

impl std::error::Error for Problems {}

impl Hint for Problems {
    fn hints(&self) -> Vec<String> {
        // Each mistake says its own next step in the report.
        Vec::new()
    }
}
