//! The one error type of all contracts.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What went wrong, for programs. The caller's reaction depends on this and on nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Code {
    /// The object named does not exist.
    NotFound,
    /// The same id exists with other arguments.
    AlreadyExists,
    /// Something else uses the object now; try again later.
    Busy,
    /// A configuration key or another argument has a value that cannot work.
    InvalidConfig,
    /// Not enough space, ids, addresses or other stock.
    NoSpace,
    /// The driver cannot do this at all.
    Unsupported,
    /// The driver's sandbox or the kernel refuses.
    Permission,
    /// What the driver depends on (a device, a server, a tool) is not there now.
    Unavailable,
    /// The driver's process ended while it worked.
    Crashed,
    /// No answer before the deadline.
    DeadlineExceeded,
    /// Somebody cancelled the call.
    Cancelled,
    /// Content is damaged, hostile or larger than allowed.
    Corrupt,
    /// A bug, or a failure nobody foresaw.
    Internal,
    /// As many calls run and wait as may; Hull says this itself, before the driver hears of the call.
    Overloaded,
    /// A successor is in charge: Hull makes the call there. See [`crate::Charge`].
    HandedOver,
}

/// Whether the same call may be tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Retry {
    Never,
    After(Duration),
}

/// A failed call: a stable code, one line for a person, and what led to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DriverError {
    pub code: Code,
    /// What failed on what: lower case, names in backticks, no full stop.
    pub message: String,
    /// What is at fault: for [`Code::InvalidConfig`] the configuration key, else one of the call's objects, where the method
    /// says so.
    pub key: Option<String>,
    /// Why, outermost cause first.
    pub causes: Vec<String>,
    /// What the user can do about it.
    pub hint: Option<String>,
    pub retry: Retry,
}

impl DriverError {
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        let retry = match code {
            Code::Busy | Code::Unavailable | Code::Crashed | Code::HandedOver => {
                Retry::After(Duration::from_millis(100))
            }
            Code::Overloaded => Retry::After(Duration::from_secs(1)),
            _ => Retry::Never,
        };
        Self { code, message: message.into(), key: None, causes: Vec::new(), hint: None, retry }
    }

    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(Code::NotFound, message)
    }

    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(Code::Internal, message)
    }

    /// A configuration value that cannot work.
    pub fn invalid(key: &str, message: impl Into<String>) -> Self {
        Self { key: Some(key.into()), ..Self::new(Code::InvalidConfig, message) }
    }

    /// An error of the operating system; its number decides the code.
    pub fn system(error: &std::io::Error, message: impl Into<String>) -> Self {
        let code = match error.raw_os_error() {
            Some(nix::libc::ENOSPC | nix::libc::EDQUOT) => Code::NoSpace,
            Some(nix::libc::EBUSY) => Code::Busy,
            Some(nix::libc::EACCES | nix::libc::EPERM | nix::libc::EROFS) => Code::Permission,
            Some(nix::libc::ENOENT) => Code::NotFound,
            Some(nix::libc::EEXIST) => Code::AlreadyExists,
            Some(nix::libc::EOPNOTSUPP | nix::libc::ENOSYS) => Code::Unsupported,
            _ => Code::Internal,
        };
        Self::new(code, message).because(error)
    }

    /// From an error with its chain of sources: the outermost text is the message, the rest the causes.
    pub fn from_chain(code: Code, error: &(dyn std::error::Error + 'static)) -> Self {
        let mut result = Self::new(code, error.to_string());
        let mut source = error.source();
        while let Some(cause) = source {
            result.causes.push(cause.to_string());
            source = cause.source();
        }
        result
    }

    /// Adds a cause below those already there.
    #[must_use]
    pub fn because(mut self, cause: impl fmt::Display) -> Self {
        self.causes.push(cause.to_string());
        self
    }

    /// Says what the user can do.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Puts this error below a broader statement of what failed.
    #[must_use]
    pub fn context(mut self, message: impl Into<String>) -> Self {
        let inner = std::mem::replace(&mut self.message, message.into());
        self.causes.insert(0, inner);
        self
    }
}

/// The message and every cause, `: ` between them.
impl fmt::Display for DriverError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        self.causes.iter().try_for_each(|cause| write!(f, ": {cause}"))
    }
}

impl std::error::Error for DriverError {}
