//! Orders: a file `METHOD.PHASE` below `ORDERS/PROCESS` holds one, is `….taken` when a call has met it and `….fired` when
//! the fault has been committed. An order counts once: the next process behaves.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// Where the real driver's program is, inside: a companion of the adversary's.
pub const DRIVER: &str = "/driver";
/// The environment of a sandbox is fixed, so this file beside the adversary (a companion) names the folder of orders.
pub const PLACE: &str = "/place";
/// The folder of orders below the campaign's.
pub const ORDERS: &str = "orders";
/// In the folder of orders: looking anything up below it does not return, and no signal ends the wait.
pub const STUCK: &str = "stuck";

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// The campaign sends the signal: nobody inside can.
    Kill,
    Stop,
    Abort,
    /// A frame of noise.
    Garbage,
    /// A frame that lies about its length or its descriptors.
    Lie,
    /// An upcall whose deadline is beyond all clocks.
    Deadline,
    /// The answer, twice.
    Twice,
    /// An answer to a request that nobody made, or of another method.
    Other,
    /// More upcalls than anybody reads.
    Upcalls,
    /// More descriptors than anybody keeps.
    Descriptors,
    /// The contract's socket is shut.
    Closed,
    /// All memory that it can get.
    Memory,
    /// No answer, ever, from a process that is well.
    Never,
    /// In a system call that no signal ends.
    Stuck,
}

impl Fault {
    pub const ALL: [Self; 14] = [
        Self::Kill,
        Self::Stop,
        Self::Abort,
        Self::Garbage,
        Self::Lie,
        Self::Deadline,
        Self::Twice,
        Self::Other,
        Self::Upcalls,
        Self::Descriptors,
        Self::Closed,
        Self::Memory,
        Self::Never,
        Self::Stuck,
    ];

    pub fn word(self) -> &'static str {
        match self {
            Self::Kill => "SIGKILL",
            Self::Stop => "SIGSTOP",
            Self::Abort => "abort",
            Self::Garbage => "garbage",
            Self::Lie => "lie",
            Self::Deadline => "deadline",
            Self::Twice => "twice",
            Self::Other => "other",
            Self::Upcalls => "upcalls",
            Self::Descriptors => "descriptors",
            Self::Closed => "closed",
            Self::Memory => "memory",
            Self::Never => "never",
            Self::Stuck => "stuck",
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl FromStr for Fault {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|fault| fault.word().eq_ignore_ascii_case(text));
        found.ok_or_else(|| format!("no fault `{text}`"))
    }
}

/// When it goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// The driver has not read the call.
    Before,
    /// It works on it.
    During,
    /// It has done it, and nobody has heard of it.
    After,
}

impl Phase {
    pub const ALL: [Self; 3] = [Self::Before, Self::During, Self::After];

    pub fn word(self) -> &'static str {
        match self {
            Self::Before => "before",
            Self::During => "during",
            Self::After => "after",
        }
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl FromStr for Phase {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|phase| phase.word() == text).ok_or_else(|| format!("no phase `{text}`"))
    }
}

/// One fault to commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Order {
    pub fault: Fault,
    pub phase: Phase,
    /// Decides between variants, and how long "during" waits.
    pub seed: u64,
}

impl Order {
    /// Puts it where the adversary called `process` looks, as the campaign does.
    pub fn place(self, orders: &Path, process: &str, method: &str) -> io::Result<PathBuf> {
        let path = path(orders, process, method, self.phase);
        for suffix in ["taken", "fired"] {
            remove(&path.with_added_extension(suffix))?;
        }
        fs::write(&path, format!("{} {}", self.fault, self.seed))?;
        Ok(path)
    }

    /// The order for this call, if there is one: it counts once.
    pub fn take(orders: &Path, process: &str, method: &str) -> Option<(Self, PathBuf)> {
        Phase::ALL.into_iter().find_map(|phase| {
            let path = path(orders, process, method, phase);
            let taken = path.with_added_extension("taken");
            fs::rename(&path, &taken).ok()?;
            let text = fs::read_to_string(&taken).ok()?;
            let (fault, seed) = text.split_once(' ')?;
            Some((Self { fault: fault.parse().ok()?, phase, seed: seed.parse().ok()? }, path))
        })
    }

    /// Tells the campaign that the fault happens now.
    pub fn fired(path: &Path) -> io::Result<()> {
        fs::rename(path.with_added_extension("taken"), path.with_added_extension("fired"))
    }
}

fn path(orders: &Path, process: &str, method: &str, phase: Phase) -> PathBuf {
    orders.join(process).join(format!("{method}.{phase}"))
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_counts_once_and_for_its_method_only() {
        let folder = std::env::temp_dir().join(format!("hull-orders-{}", std::process::id()));
        fs::create_dir_all(folder.join("storage-dir@p")).unwrap();
        let order = Order { fault: Fault::Lie, phase: Phase::After, seed: 7 };
        let path = order.place(&folder, "storage-dir@p", "create_volume").unwrap();
        assert!(Order::take(&folder, "storage-dir@p", "delete_volume").is_none());
        let (taken, at) = Order::take(&folder, "storage-dir@p", "create_volume").unwrap();
        assert_eq!((taken, &at), (order, &path));
        assert!(Order::take(&folder, "storage-dir@p", "create_volume").is_none());
        Order::fired(&at).unwrap();
        assert!(path.with_added_extension("fired").exists());
        fs::remove_dir_all(folder).unwrap();
    }
}
