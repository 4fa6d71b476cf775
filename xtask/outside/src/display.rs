//! Progress on standard error: blocks that redraw themselves on a terminal, plain lines elsewhere,
//! and on GitHub one folded group for each service, because parallel builds would mix their lines.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::terminal::{self, printable};

/// How progress is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Blocks that redraw themselves.
    Live,
    /// Each line as it comes.
    Plain,
    /// All lines of a service together when it is done.
    Grouped,
    /// Nothing.
    Quiet,
}

/// How often a terminal is redrawn, at most.
const REDRAWS_A_SECOND: u8 = 10;
/// How often a log without lines says what still runs.
const STILL: Duration = Duration::from_secs(30);

/// The display of several builds at once. Dropping it leaves the terminal as it was.
pub struct Display {
    kind: Kind,
    blocks: MultiProgress,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    bars: BTreeMap<String, ProgressBar>,
    held: BTreeMap<String, Vec<String>>,
    announced: Option<Instant>,
}

impl Display {
    pub fn new(kind: Kind) -> Self {
        let target = match kind {
            Kind::Live => ProgressDrawTarget::stderr_with_hz(REDRAWS_A_SECOND),
            _ => ProgressDrawTarget::hidden(),
        };
        let blocks = MultiProgress::with_draw_target(target);
        Self { kind, blocks, inner: Mutex::default() }
    }

    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Shows the current block of a service.
    pub fn block(&self, name: &str, lines: &[String]) {
        let mut inner = self.inner();
        let bar = inner.bars.entry(name.to_owned()).or_insert_with(|| {
            let style = ProgressStyle::with_template("{msg}");
            let bar = self.blocks.add(ProgressBar::new_spinner());
            style.into_iter().fold(bar, ProgressBar::with_style)
        });
        let lines: Vec<String> = lines.iter().map(|line| printable(line)).collect();
        bar.set_message(lines.join("\n"));
    }

    /// Shows new lines of a service.
    pub fn lines(&self, name: &str, lines: Vec<String>) {
        match self.kind {
            Kind::Plain => lines.iter().for_each(|line| terminal::message(line)),
            Kind::Grouped => {
                let mut inner = self.inner();
                inner.held.entry(name.to_owned()).or_default().extend(lines);
                let since = *inner.announced.get_or_insert_with(Instant::now);
                if since.elapsed() > STILL {
                    inner.announced = Some(Instant::now());
                    let names: Vec<&str> = inner.held.keys().map(String::as_str).collect();
                    terminal::message(&format!("still at work: {}", names.join(", ")));
                }
            }
            Kind::Live | Kind::Quiet => {}
        }
    }

    /// A service is done: removes its block, and shows its group between `begin` and `end`.
    pub fn finish(&self, name: &str, group: (&str, &str)) {
        let mut inner = self.inner();
        if let Some(bar) = inner.bars.remove(name) {
            bar.finish_and_clear();
            self.blocks.remove(&bar);
        }
        if let Some(lines) = inner.held.remove(name) {
            terminal::message(group.0);
            for line in &lines {
                terminal::message(line);
            }
            terminal::message(group.1);
        }
    }

    /// Shows a message above the blocks.
    pub fn message(&self, text: &str) {
        if self.kind != Kind::Quiet {
            self.blocks.suspend(|| terminal::message(text));
        }
    }

    /// Shows an error, even if progress is hidden.
    pub fn error(&self, text: &str) {
        self.blocks.suspend(|| terminal::message(text));
    }

    fn inner(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Display {
    fn drop(&mut self) {
        // A terminal that cannot be cleared is not worth an error.
        let _ = self.blocks.clear();
    }
}
