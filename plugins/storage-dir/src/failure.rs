//! Failures of the tree code and of the system as the contract's errors.

use hull_image_format::Error;
use hull_plugin::{Code, DriverError};
use nix::errno::Errno;

/// What failed, with the reason below it.
pub(crate) fn failure(error: Error, what: impl Into<String>) -> DriverError {
    let code = match &error {
        Error::Corrupt(_) => Code::Corrupt,
        Error::Unsupported(_) => Code::Unsupported,
        Error::Cancelled => Code::Cancelled,
        Error::System { source, .. } => system_code(source.raw_os_error()),
    };
    let inner = DriverError::from_chain(code, &error);
    let mut outer = DriverError::new(code, what);
    outer.causes = [vec![inner.message], inner.causes].concat();
    if code == Code::NoSpace { outer.hint("free space in the pool, or use a larger one") } else { outer }
}

/// A failed system call.
pub(crate) fn refused(error: Errno, what: impl Into<String>) -> DriverError {
    DriverError::new(system_code(Some(error as i32)), what).because(std::io::Error::from(error))
}

/// Unlike [`DriverError::system`], a file missing in the middle of the work is nobody's `NotFound`.
fn system_code(number: Option<i32>) -> Code {
    match number.map(Errno::from_raw) {
        Some(Errno::ENOSPC | Errno::EDQUOT) => Code::NoSpace,
        Some(Errno::EACCES | Errno::EPERM | Errno::EROFS) => Code::Permission,
        _ => Code::Internal,
    }
}
