//! What a plugin writes to stderr: into hulld's log under the plugin's name, and its end kept for crash reports.

use std::collections::VecDeque;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::net::unix::pipe;
use tokio_util::sync::CancellationToken;

/// How much of the output is kept.
const KEPT: usize = 64 * 1024;
/// Longer lines are cut into lines of this length.
const LONGEST_LINE: u64 = 4096;
/// How many lines a crash report quotes.
const QUOTED_LINES: usize = 5;
/// How long the rest of what an ended process wrote is waited for; all that could hold it open has ended with it.
const REST: Duration = Duration::from_millis(100);

/// The end of a process's output.
#[derive(Clone, Default)]
pub(crate) struct Output {
    kept: Kept,
    /// That of the processes before it, too.
    history: Option<Kept>,
    /// All has been read.
    complete: CancellationToken,
}

type Kept = Arc<Mutex<VecDeque<u8>>>;

impl Output {
    /// The output of one more process, which also becomes part of this one.
    pub(super) fn chapter(&self) -> Self {
        Self { history: Some(self.kept.clone()), ..Self::default() }
    }

    /// All that is kept.
    pub(crate) fn text(&self) -> String {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&kept.iter().copied().collect::<Vec<u8>>()).into_owned()
    }

    /// Reads `stderr` to its end; one line at a time goes to the log.
    pub(crate) async fn follow(self, name: String, stderr: OwnedFd) -> std::io::Result<()> {
        let _complete = self.complete.clone().drop_guard();
        let mut reader = BufReader::with_capacity(1024, pipe::Receiver::from_owned_fd(stderr)?);
        let mut line = Vec::new();
        while (&mut reader).take(LONGEST_LINE).read_until(b'\n', &mut line).await? > 0 {
            self.keep(&line);
            log(&name, String::from_utf8_lossy(&line).trim_end());
            line.clear();
        }
        Ok(())
    }

    /// The last few lines, for an error's cause.
    pub(crate) fn last_lines(&self) -> Vec<String> {
        let text = self.text();
        let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
        lines[lines.len().saturating_sub(QUOTED_LINES)..].iter().map(|line| printable(line.trim())).collect()
    }

    /// The last lines of a process that has ended, some of which may still be on their way.
    pub(crate) async fn last_words(&self) -> Vec<String> {
        let _ = tokio::time::timeout(REST, self.complete.cancelled()).await; // what is there then must do
        self.last_lines()
    }

    fn keep(&self, line: &[u8]) {
        for kept in std::iter::once(&self.kept).chain(&self.history) {
            let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
            kept.extend(line);
            let excess = kept.len().saturating_sub(KEPT);
            kept.drain(..excess);
        }
    }
}

/// The SDK's lines begin with their level.
fn log(name: &str, line: &str) {
    let line = printable(line);
    let trimmed = line.trim_start();
    let (level, rest) = trimmed.split_once(' ').unwrap_or(("", trimmed));
    match level {
        "ERROR" => tracing::error!(target: "plugin", plugin = name, "{rest}"),
        "WARN" => tracing::warn!(target: "plugin", plugin = name, "{rest}"),
        "INFO" => tracing::info!(target: "plugin", plugin = name, "{rest}"),
        "DEBUG" | "TRACE" => tracing::debug!(target: "plugin", plugin = name, "{rest}"),
        _ if trimmed.is_empty() => {}
        _ => tracing::info!(target: "plugin", plugin = name, "{trimmed}"),
    }
}

/// Foreign text must not steer the administrator's terminal.
pub(crate) fn printable(text: &str) -> String {
    text.chars().map(|char| if char.is_control() && char != '\t' { '\u{fffd}' } else { char }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_end_is_kept_and_quoted() {
        let output = Output::default();
        for number in 0..20_000 {
            output.keep(format!("line {number}\n").as_bytes());
        }
        assert!(output.kept.lock().unwrap().len() <= KEPT);
        assert_eq!(output.last_lines().last().unwrap(), "line 19999");
        assert_eq!(output.last_lines().len(), QUOTED_LINES);
    }

    #[tokio::test]
    async fn the_last_words_are_waited_for() {
        let (ours, theirs) = std::io::pipe().unwrap();
        let output = Output::default().chapter();
        let following = output.clone().follow("probe".into(), ours.into());
        let speaker = async move {
            tokio::time::sleep(Duration::from_millis(5)).await;
            std::io::Write::write_all(&mut { theirs }, b"first\nand last\n").unwrap();
        };
        let (words, followed, ()) = tokio::join!(output.last_words(), following, speaker);
        followed.unwrap();
        assert_eq!(words, ["first", "and last"]);
    }

    #[test]
    fn escape_sequences_do_not_reach_the_terminal() {
        assert!(!printable("\x1b[2J").contains('\x1b'));
    }
}
