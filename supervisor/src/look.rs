//! Looking at places of the host whose file system may not answer: never on a thread of the event loop, for a bounded time,
//! and with so few threads for each place that one that hangs takes none from the others.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;

/// What takes longer hangs.
const PATIENCE: Duration = Duration::from_secs(1);
/// Threads that a place may keep at once.
const THREADS: usize = 2;

/// By place; what nobody looks at is not in it.
static PLACES: Mutex<BTreeMap<PathBuf, Arc<Semaphore>>> = Mutex::new(BTreeMap::new());

/// The place did not answer in time.
#[derive(Debug, thiserror::Error)]
#[error("`{}` does not answer", place.display())]
pub(crate) struct Silent {
    place: PathBuf,
}

/// Asks about a place, for a second at most.
pub(crate) async fn at<T: Send + 'static>(
    place: &Path,
    question: impl FnOnce(&Path) -> T + Send + 'static,
) -> Result<T, Silent> {
    at_within(PATIENCE, place, question).await
}

/// The same with a patience of its own.
pub(crate) async fn at_within<T: Send + 'static>(
    patience: Duration,
    place: &Path,
    question: impl FnOnce(&Path) -> T + Send + 'static,
) -> Result<T, Silent> {
    let threads = threads_of(place);
    let path = place.to_owned();
    let asked = async {
        let permit = threads.acquire_owned().await.ok()?; // never closed
        let work = move || {
            let answer = question(&path);
            drop(permit);
            answer
        };
        tokio::task::spawn_blocking(work).await.ok()
    };
    let answer = tokio::time::timeout(patience, asked).await;
    answer.ok().flatten().ok_or_else(|| Silent { place: place.to_owned() })
}

/// Whether something is there; what does not answer is not.
pub(crate) async fn exists(place: &Path) -> bool {
    at(place, Path::exists).await.unwrap_or(false)
}

/// A file system, by the mount table: the place itself is not touched.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct FileSystem {
    /// `ext4`
    pub(crate) kind: String,
    /// `/dev/sda1`, or the word of one that has no device.
    pub(crate) device: String,
}

/// The mount table of hulld.
pub(crate) fn mount_table() -> String {
    std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default()
}

/// What a path is on.
pub(crate) fn file_system(table: &str, path: &Path) -> FileSystem {
    let mounts = table.lines().filter_map(|line| {
        let (left, right) = line.split_once(" - ")?;
        let mut right = right.split(' ');
        let (kind, device) = (right.next()?.to_owned(), right.next()?.to_owned());
        Some((left.split(' ').nth(4)?, FileSystem { kind, device }))
    });
    // Of several mounts in one place the last one counts.
    let over = mounts.filter(|(mount, _)| path.starts_with(mount)).max_by_key(|(mount, _)| mount.len());
    over.map_or_else(FileSystem::default, |(_, found)| found)
}

fn threads_of(place: &Path) -> Arc<Semaphore> {
    let mut places = PLACES.lock().unwrap_or_else(PoisonError::into_inner);
    places.retain(|_, threads| Arc::strong_count(threads) > 1 || threads.available_permits() < THREADS);
    places.entry(place.to_owned()).or_insert_with(|| Arc::new(Semaphore::new(THREADS))).clone()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    #[test]
    fn a_path_is_on_the_innermost_mount() {
        let table = "1 0 8:1 / / rw - ext4 /dev/sda1 rw\n\
                     2 1 0:5 / /srv rw shared:1 - btrfs /dev/sdb rw\n\
                     3 1 0:6 / /srvother rw - xfs /dev/sdc rw\n";
        assert_eq!(file_system(table, Path::new("/srv/pool")).kind, "btrfs");
        assert_eq!(file_system(table, Path::new("/srvotherwise/pool")).device, "/dev/sda1");
        assert_eq!(file_system("", Path::new("/x")), FileSystem::default());
    }

    #[tokio::test]
    async fn a_place_that_hangs_costs_two_threads_and_nobody_elses_time() {
        let (hang, over) = std::sync::mpsc::channel::<()>();
        let over = Arc::new(Mutex::new(over));
        let begin = Instant::now();
        let looks = (0..20).map(|_| {
            let over = over.clone();
            at_within(Duration::from_millis(100), Path::new("/hung"), move |_| {
                // An error: the other end is gone, and the place answers.
                let _ = over.lock().unwrap().recv();
            })
        });
        let answers = futures::future::join_all(looks).await;
        assert!(answers.iter().all(Result::is_err));
        assert!(begin.elapsed() < Duration::from_secs(5));
        assert_eq!(threads_of(Path::new("/hung")).available_permits(), 0, "two threads wait, eighteen were not begun");
        assert!(exists(Path::new("/")).await, "another place answers");
        drop(hang);
        assert!(at_within(Duration::from_secs(5), Path::new("/hung"), |_| true).await.unwrap(), "it answers again");
    }
}
