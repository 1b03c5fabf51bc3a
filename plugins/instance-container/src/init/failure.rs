//! Errors that say what was tried, ready to be sent.

use std::io;

use instance_container::order::{Failure, FailureKind};
use nix::errno::Errno;

pub(crate) type Outcome<T = ()> = Result<T, Failure>;

/// Turns an error of the system into a [`Failure`].
pub(crate) trait Doing<T> {
    /// `what`: the words after "cannot".
    fn doing(self, what: impl FnOnce() -> String) -> Outcome<T>;
    fn doing_as(self, kind: FailureKind, what: impl FnOnce() -> String) -> Outcome<T>
    where
        Self: Sized,
    {
        self.doing(what).map_err(|failure| Failure { kind, ..failure })
    }
}

impl<T> Doing<T> for Result<T, Errno> {
    fn doing(self, what: impl FnOnce() -> String) -> Outcome<T> {
        self.map_err(|errno| Failure { kind: FailureKind::Other, what: what(), errno: errno as i32 })
    }
}

impl<T> Doing<T> for io::Result<T> {
    fn doing(self, what: impl FnOnce() -> String) -> Outcome<T> {
        self.map_err(|error| {
            let errno = error.raw_os_error().unwrap_or(0);
            let what = if errno == 0 { format!("{}: {error}", what()) } else { what() };
            Failure { kind: FailureKind::Other, what, errno }
        })
    }
}

pub(crate) fn refused(what: impl Into<String>) -> Failure {
    Failure { kind: FailureKind::Other, what: what.into(), errno: 0 }
}
