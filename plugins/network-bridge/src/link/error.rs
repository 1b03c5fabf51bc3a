//! What the kernel said no to.

use hull_plugin::{Code, DriverError};
use nix::errno::Errno;

#[derive(Debug, thiserror::Error)]
#[error("cannot {what}")]
pub(crate) struct LinkError {
    what: String,
    #[source]
    cause: std::io::Error,
}

impl LinkError {
    pub(super) fn new(what: impl Into<String>, error: rtnetlink::Error) -> Self {
        let cause = match error {
            rtnetlink::Error::NetlinkError(message) => message.to_io(),
            other => std::io::Error::other(other),
        };
        Self { what: what.into(), cause }
    }

    pub(super) fn system(what: impl Into<String>, cause: std::io::Error) -> Self {
        Self { what: what.into(), cause }
    }

    pub(crate) fn is(&self, errno: Errno) -> bool {
        self.cause.raw_os_error() == Some(errno as i32)
    }

    /// The interface is not there (any more).
    pub(crate) fn is_gone(&self) -> bool {
        self.is(Errno::ENODEV) || self.is(Errno::ENOENT)
    }
}

impl From<LinkError> for DriverError {
    fn from(error: LinkError) -> Self {
        let code = match error.cause.raw_os_error() {
            Some(nix::libc::EPERM | nix::libc::EACCES) => Code::Permission,
            Some(nix::libc::EOPNOTSUPP) => Code::Unsupported,
            Some(nix::libc::ENODEV) => Code::NotFound,
            Some(nix::libc::EEXIST) => Code::AlreadyExists,
            Some(nix::libc::EBUSY) => Code::Busy,
            _ => Code::Internal,
        };
        Self::from_chain(code, &error)
    }
}
