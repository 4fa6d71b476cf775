//! The one place that prints. Data goes to stdout, messages and progress go to stderr, and no control
//! sequence from outside passes through.

use std::io::{IsTerminal, Write};

/// Prints data on stdout. A closed pipe ends the output without an error.
pub fn data(text: &str) {
    let mut stdout = std::io::stdout().lock();
    let _ = stdout.write_all(text.as_bytes());
    let _ = stdout.flush();
}

/// Prints one message on stderr.
pub fn message(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{}", printable(text));
}

/// Prints a line that only `-v` shows.
pub fn trace(text: &str) {
    message(text);
}

/// Whether stderr is a terminal that can redraw.
pub fn is_live() -> bool {
    std::io::stderr().is_terminal()
}

/// The columns of the terminal that shows stdout; `None` where stdout is not a terminal.
pub fn width() -> Option<usize> {
    columns(&console::Term::stdout())
}

/// The columns of the terminal that shows stderr, where progress is drawn.
pub fn progress_width() -> usize {
    columns(&console::Term::stderr()).unwrap_or(80)
}

fn columns(terminal: &console::Term) -> Option<usize> {
    terminal.size_checked().map(|(_, columns)| usize::from(columns))
}

/// `text` without control characters other than line feed and tab: a label or a log must not move the cursor,
/// change colours or set the title.
pub fn printable(text: &str) -> String {
    text.chars().filter(|&c| !c.is_control() || matches!(c, '\n' | '\t')).collect()
}
