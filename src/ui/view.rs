//! Who listens to events and shows them: as JSON, as lines, or as a drawing that follows them. It never calls back.

use std::time::Duration;

use tokio::sync::mpsc::UnboundedReceiver;
use tubectl_clock::Clock;

use crate::event::Event;
use crate::event::EventKind;
use crate::ui::json;
use crate::ui::lines::Detail;
use crate::ui::lines::Lines;
use crate::ui::output::Format;
use crate::ui::output::Output;
use crate::ui::progress;
use crate::ui::progress::Frame;
use crate::ui::qr;
use crate::ui::qr::Ink;
use crate::ui::screen;
use crate::ui::screen::Screen;
use crate::ui::screen::Size;
use crate::ui::show;
use crate::ui::show::drawing;

/// How long a drawing stands, in the time of whoever looks at it.
const STANDS: Duration = Duration::from_millis(100);

/// How events are shown.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// For people or for programs.
    pub format: Format,
    /// Where it goes, and how much of it.
    pub output: Output,
    /// The terminal to draw on; without one, and in virtual time, there are only lines.
    pub terminal: Option<Size>,
}

/// Shows events as they happen, until nobody sends any more.
pub async fn watch(heard: UnboundedReceiver<Event>, options: Options, clock: Clock) {
    match (options.format, options.terminal) {
        (Format::Json, _) => as_json(heard, options.output).await,
        (Format::Text, Some(size)) if !options.output.quiet && options.output.detail == Detail::Noteworthy => {
            as_drawing(heard, size, clock).await;
        }
        (Format::Text, _) => as_lines(heard, options.output).await,
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

async fn as_drawing(mut heard: UnboundedReceiver<Event>, size: Size, clock: Clock) {
    let mut drawing = Drawing::on(size);
    loop {
        // The world's pace may change meanwhile; that of whoever looks on does not.
        let pause = STANDS.mul_f64(clock.speed());
        // Everything that happened meanwhile comes into one drawing.
        let collected = clock.timeout(pause, async {
            while let Some(event) = heard.recv().await {
                drawing.take(&event);
                if drawing.is_blank() {
                    // Nothing is drawn, so somebody may ask or write next: what came before is said before.
                    drawing.draw(clock);
                }
            }
        });
        let is_over = collected.await.is_ok();
        if is_over {
            drawing.end();
            return;
        }
        drawing.draw(clock);
    }
}

/// What is on the terminal.
struct Drawing {
    size: Size,
    lines: Lines,
    progress: progress::State,
    show: show::State,
    // The page's address as a QR code.
    code: Vec<String>,
    screen: Screen,
    // What is over since the last drawing.
    above: Vec<String>,
    turn: usize,
}

impl Drawing {
    fn on(size: Size) -> Self {
        let mut lines = Lines::new(Detail::Noteworthy);
        lines.fit(size.width);
        Self {
            size,
            lines,
            progress: progress::State::default(),
            show: show::State::default(),
            code: Vec::new(),
            screen: Screen::default(),
            above: Vec::new(),
            turn: 0,
        }
    }

    fn take(&mut self, event: &Event) {
        self.progress.on(event);
        self.show.on(event);
        let lines = self.lines.on(event);
        // What the drawing of the show has itself need not be said twice.
        if !self.show.is_on() || matches!(event.kind, EventKind::Show { .. } | EventKind::Failed { .. }) {
            self.above.extend(lines);
        }
        if let EventKind::Show { page, .. } = &event.kind {
            let ink = if screen::has_colours() {
                Ink::Colour
            } else {
                Ink::Characters
            };
            self.code = qr::rows(page, usize::MAX, ink).unwrap_or_default();
        }
    }

    /// Whether there is nothing to draw.
    fn is_blank(&self) -> bool {
        !self.show.is_on() && !self.progress.is_at_work()
    }

    fn draw(&mut self, clock: Clock) {
        self.size = screen::size().unwrap_or(self.size);
        self.lines.fit(self.size.width);
        self.turn += 1;
        let frame = Frame {
            now: clock.now(),
            turn: self.turn,
            width: self.size.width,
            height: self.size.height,
            speed: clock.speed(),
        };
        let rows = if self.show.is_on() {
            drawing::draw(&self.show, frame, &self.code)
        } else if self.progress.is_at_work() {
            progress::draw(&self.progress, frame)
        } else {
            Vec::new()
        };
        self.screen.draw(&self.above, &rows, self.size.width);
        self.above.clear();
    }

    fn end(mut self) {
        self.above.extend(self.lines.end());
        self.screen.draw(&self.above, &[], self.size.width);
    }
}
