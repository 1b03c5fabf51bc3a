//! The one place that writes to the terminal. Data goes to stdout, talk to stderr.

use std::cell::Cell;
use std::io::{IsTerminal, Write};
use unicode_width::UnicodeWidthStr;

#[derive(Debug, Default)]
pub(crate) struct Printer {
    quiet: bool,
    terminal: bool,
    /// Columns of the progress line that is on the screen.
    shown: Cell<usize>,
}

impl Printer {
    pub(crate) fn new(quiet: bool) -> Self {
        Self { quiet, terminal: std::io::stdout().is_terminal(), shown: Cell::new(0) }
    }

    /// A line of data.
    pub(crate) fn line(&self, text: impl AsRef<str>) {
        self.text(text);
        self.text("\n");
    }

    /// Data as it is.
    pub(crate) fn text(&self, text: impl AsRef<str>) {
        self.bytes(text.as_ref().as_bytes());
    }

    pub(crate) fn bytes(&self, bytes: &[u8]) {
        let mut stdout = std::io::stdout().lock();
        if let Err(error) = stdout.write_all(bytes).and_then(|()| stdout.flush()) {
            // `hull list | head`: the reader has what it wanted.
            std::process::exit(if error.kind() == std::io::ErrorKind::BrokenPipe { 0 } else { 1 });
        }
    }

    /// A line that confirms what was done; silent with `--quiet`.
    pub(crate) fn done(&self, text: impl AsRef<str>) {
        if !self.quiet {
            self.line(text);
        }
    }

    /// A line for the human, beside the data.
    pub(crate) fn note(&self, text: impl AsRef<str>) {
        eprintln!("{}", text.as_ref());
    }

    pub(crate) fn shows_progress(&self) -> bool {
        self.terminal && !self.quiet
    }

    /// Replaces the progress line.
    pub(crate) fn progress(&self, label: &str, text: &str) {
        if !self.shows_progress() {
            return;
        }
        let line = if label.is_empty() { text.to_owned() } else { format!("{label}: {text}") };
        let width = line.width();
        let padding = self.shown.replace(width).saturating_sub(width);
        self.text(format!("\r{line}{}", " ".repeat(padding)));
    }

    /// Wipes the progress line.
    pub(crate) fn progress_done(&self) {
        let width = self.shown.replace(0);
        if width > 0 {
            self.text(format!("\r{}\r", " ".repeat(width)));
        }
    }
}
