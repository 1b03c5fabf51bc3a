//! A ground on which a hostile program may do its worst: loot, victims, and a log.

use std::collections::BTreeMap;
use std::io::Write;
use std::net::TcpListener;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::path::PathBuf;
use std::process::{Child, Command};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use hulld::plugins::{NoHandles, Outcome, Settings, Trial};

use super::walls::Subject;
use super::{Cgroups, KeeperClient, programs};

pub(crate) struct Ground {
    folder: tempfile::TempDir,
    keeper: KeeperClient,
    cgroups: Cgroups,
    victim: Mutex<Child>,
    listener: TcpListener,
    _sockets: [UnixListener; 2],
    abstract_socket: String,
}

impl Ground {
    pub(crate) async fn new() -> Self {
        log();
        let folder = tempfile::Builder::new().prefix("hull-hostile-").tempdir().unwrap();
        let hull_dir = folder.path().join("state");
        for name in ["state/database", "state/storage-pools/trial", "state/storage-pools/other", "host"] {
            std::fs::create_dir_all(folder.path().join(name)).unwrap();
        }
        for loot in ["state/database/hull.db", "state/storage-pools/other/secret", "host/canary"] {
            std::fs::write(folder.path().join(loot), "secret").unwrap();
        }
        let (socket, _thread) = hulld::keeper::in_thread().unwrap();
        let abstract_socket = format!("hull-hostile-{}-{:p}", std::process::id(), &folder);
        let name = SocketAddr::from_abstract_name(&abstract_socket).unwrap();
        let sockets = [UnixListener::bind(hull_dir.join("unix.socket")), UnixListener::bind_addr(&name)];
        Self {
            keeper: KeeperClient::connect(socket).unwrap(),
            cgroups: Cgroups::open(&hull_dir).unwrap(),
            victim: Mutex::new(Command::new("sleep").arg("1000").spawn().unwrap()),
            listener: TcpListener::bind("127.0.0.1:0").unwrap(),
            _sockets: sockets.map(Result::unwrap),
            abstract_socket,
            folder,
        }
    }

    /// What each attempt came to; none named: all of them.
    pub(crate) async fn attempts(&self, subject: &Subject, names: &[&str]) -> BTreeMap<String, String> {
        let outcome = self.run(subject, names).await;
        let lines = outcome.output.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
        let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
        let outcomes: BTreeMap<_, _> = lines
            .map(|line| (text(&line["attempt"]), text(&line["outcome"])))
            .filter(|(name, _)| !name.is_empty())
            .collect();
        assert_eq!(outcome.end, "exited with status 0", "{}: {outcome:?}", subject.name);
        eprintln!("{}: {outcomes:?}", subject.name);
        outcomes
    }

    pub(crate) async fn run(&self, subject: &Subject, names: &[&str]) -> Outcome {
        let hull_dir = self.folder.path().join("state");
        let targets = serde_json::json!({
            "hull_dir": hull_dir,
            "other_pool": hull_dir.join("storage-pools/other/secret"),
            "canary": self.canary(),
            "hulld": std::process::id(),
            "victim": self.victim.lock().unwrap().id(),
            "port": self.listener.local_addr().unwrap().port(),
            "abstract_socket": self.abstract_socket,
            "environment": ["PATH", "LANG", "HOME", "HULL_LOG"],
            "descriptors": subject.descriptors,
        });
        let mut arguments = vec![targets.to_string()];
        arguments.extend(names.iter().map(|name| (*name).to_owned()));
        let trial = Trial {
            walls: subject.walls.clone(),
            program: programs().join("hostile"),
            arguments,
            pool: Some(hull_dir.join("storage-pools/trial")),
            patience: Duration::from_secs(60),
        };
        let settings = Settings {
            hull_dir,
            executable: programs().join("hulld"),
            keeper: self.keeper.clone(),
            cgroups: self.cgroups.clone(),
            handles: Arc::new(NoHandles),
            rest_after: hulld::plugins::REST_AFTER,
        };
        trial.run(settings).await.unwrap_or_else(|error| panic!("{}: {error}", subject.name))
    }

    fn canary(&self) -> PathBuf {
        self.folder.path().join("host/canary")
    }

    pub(crate) fn is_unharmed(&self) -> bool {
        let alive = self.victim.lock().unwrap().try_wait().unwrap().is_none();
        alive && std::fs::read_to_string(self.canary()).is_ok_and(|text| text == "secret")
    }

    /// What hulld has logged so far.
    pub(crate) fn log(&self) -> String {
        String::from_utf8_lossy(&log().0.lock().unwrap()).into_owned()
    }

    /// Ends everything and proves that nothing is left.
    pub(crate) async fn close(self) {
        {
            let mut victim = self.victim.lock().unwrap();
            victim.kill().unwrap();
            victim.wait().unwrap();
        }
        self.cgroups.all().kill_all(Duration::from_secs(5)).await.unwrap();
        self.cgroups.all().remove().await.unwrap();
    }
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// The log of this test's process.
fn log() -> &'static Log {
    static LOG: OnceLock<Log> = OnceLock::new();
    LOG.get_or_init(|| {
        let log = Log::default();
        let writer = log.clone();
        tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).init();
        log
    })
}
