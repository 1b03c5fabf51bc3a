//! The user's terminal: raw while a command has it, restored whatever happens.

use nix::libc;
use nix::sys::termios::{self, SetArg, Termios};
use std::io::IsTerminal;

/// The terminal at stdin in raw mode, until dropped.
pub(crate) struct RawTerminal(Termios);

impl RawTerminal {
    /// `None` when stdin is no terminal.
    pub(crate) fn enter() -> Option<Self> {
        let stdin = std::io::stdin();
        if !stdin.is_terminal() {
            return None;
        }
        let before = termios::tcgetattr(&stdin).ok()?;
        let mut raw = before.clone();
        termios::cfmakeraw(&mut raw);
        termios::tcsetattr(&stdin, SetArg::TCSANOW, &raw).ok()?;
        Some(Self(before))
    }
}

impl Drop for RawTerminal {
    fn drop(&mut self) {
        // If the terminal is gone there is nothing to restore.
        let _ = termios::tcsetattr(std::io::stdin(), SetArg::TCSANOW, &self.0);
    }
}

/// Columns and rows of the terminal at stdout.
pub(crate) fn size() -> Option<(u16, u16)> {
    let size = sys::window_size(libc::STDOUT_FILENO)?;
    Some((size.ws_col, size.ws_row))
}

#[allow(unsafe_code)]
mod sys {
    use nix::libc::{TIOCGWINSZ, winsize};

    nix::ioctl_read_bad!(
        /// The size of a terminal.
        tiocgwinsz,
        TIOCGWINSZ,
        winsize
    );

    pub(super) fn window_size(descriptor: i32) -> Option<winsize> {
        let mut size = winsize { ws_row: 0, ws_col: 0, ws_xpixel: 0, ws_ypixel: 0 };
        // SAFETY: `size` is a valid `winsize` that outlives the call, and the kernel writes nothing beyond it.
        unsafe { tiocgwinsz(descriptor, &raw mut size) }.ok()?;
        (size.ws_col > 0).then_some(size)
    }
}
