//! Who listens to events and shows them: as JSON, or as lines. It never calls back.

use tokio::sync::mpsc::UnboundedReceiver;

use crate::event::Event;
use crate::ui::json;
use crate::ui::lines::Lines;
use crate::ui::output::Format;
use crate::ui::output::Output;

/// How events are shown.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// For people or for programs.
    pub format: Format,
    /// Where it goes, and how much of it.
    pub output: Output,
}

/// Shows events as they happen, until nobody sends any more.
pub async fn watch(heard: UnboundedReceiver<Event>, options: Options) {
    match options.format {
        Format::Json => as_json(heard, options.output).await,
        Format::Text => as_lines(heard, options.output).await,
    }
}

async fn as_json(mut heard: UnboundedReceiver<Event>, output: Output) {
    while let Some(event) = heard.recv().await {
        output.data(&json::line(&event));
    }
}

async fn as_lines(mut heard: UnboundedReceiver<Event>, output: Output) {
    let mut lines = Lines::new(output.detail);
    while let Some(event) = heard.recv().await {
        for line in lines.on(&event) {
            output.narrate(&line);
        }
    }
    for line in lines.end() {
        output.narrate(&line);
    }
}
