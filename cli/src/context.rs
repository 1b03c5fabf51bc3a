//! What every command is given: the printer, the user's settings and the way to servers.

use crate::client::{Server, Waiting, wait};
use crate::output::{Printer, parse_yaml, to_yaml};
use crate::settings::{Origin, Place, Settings};
use anyhow::{Context as _, Result, bail};
use hull_api::Operation;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fs::File;
use std::io::{IsTerminal, Read, Seek};
use std::os::fd::AsFd;
use std::os::unix::fs::FileTypeExt;

pub(crate) struct Context {
    pub(crate) printer: Printer,
    pub(crate) settings: Settings,
    pub(crate) globals: Globals,
}

/// Flags that every command takes.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct Globals {
    /// Use this project instead of the remote's own
    #[arg(long, global = true, value_name = "PROJECT")]
    pub(crate) project: Option<String>,
    /// Say only what was asked for, no progress
    #[arg(short, long, global = true)]
    pub(crate) quiet: bool,
    /// Say more
    #[arg(short, long, global = true)]
    pub(crate) verbose: bool,
    /// Say everything
    #[arg(long, global = true)]
    pub(crate) debug: bool,
    /// Speak to the daemon of this machine whatever the settings say
    #[arg(long, global = true)]
    pub(crate) force_local: bool,
}

impl Context {
    /// The server and the name that `[REMOTE:]NAME` means.
    pub(crate) fn locate(&self, text: &str) -> Result<(Server, String)> {
        let Origin { remote, name } = self.settings.origin(text)?;
        Ok((self.server(&remote)?, name))
    }

    /// Like [`Self::locate`] for an optional `[REMOTE:]`.
    pub(crate) fn locate_or_default(&self, text: Option<&str>) -> Result<(Server, String)> {
        self.locate(text.unwrap_or_default())
    }

    /// The server of a `REMOTE:` that must not be followed by a name.
    pub(crate) fn server_only(&self, text: Option<&str>) -> Result<Server> {
        let (server, name) = self.locate_or_default(text)?;
        if !name.is_empty() {
            bail!("`{name}` is not a remote\nhint: a remote ends in a colon, as in `{name}:`");
        }
        Ok(server)
    }

    pub(crate) fn server(&self, remote: &str) -> Result<Server> {
        let remote = if self.globals.force_local { "local" } else { remote };
        let project = self.globals.project.clone().or_else(|| std::env::var("HULL_PROJECT").ok());
        let own = self.settings.remotes.get(remote).map(|entry| entry.project.clone()).filter(|name| !name.is_empty());
        match self.settings.place(remote)? {
            Place::Socket(socket) => Ok(Server { socket, remote: remote.to_owned(), project: project.or(own) }),
            Place::Images { protocol, .. } => {
                bail!(
                    "the remote `{remote}` is a source of images ({protocol}): it can be used with `launch`, `init` and `image copy` only"
                )
            }
        }
    }

    /// The project in use on `server`.
    pub(crate) fn project_of(server: &Server) -> &str {
        server.project.as_deref().filter(|project| !project.is_empty()).unwrap_or("default")
    }

    /// Waits for `operation`, if there is one.
    pub(crate) async fn wait(&self, server: &Server, operation: Option<Operation>, label: &str) -> Result<Operation> {
        match operation {
            Some(operation) => wait(server, operation, Waiting { printer: &self.printer, label }).await,
            None => Ok(Operation::default()),
        }
    }

    /// Asks on the terminal.
    pub(crate) fn ask(&self, question: &str) -> Result<String> {
        self.printer.text(question);
        let mut answer = String::new();
        if std::io::stdin().read_line(&mut answer)? == 0 {
            bail!("no answer to the question `{}`", question.trim());
        }
        Ok(answer.trim().to_owned())
    }

    /// YAML from a pipe, or `None` when stdin is a terminal.
    pub(crate) fn piped(&self) -> Result<Option<String>> {
        if std::io::stdin().is_terminal() {
            return Ok(None);
        }
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text)?;
        Ok(Some(text))
    }

    /// YAML from a file, as in `< config.yaml`, or from a here-document; nothing for anything else, so that a command in a loop
    /// that reads lines from a pipe or a file leaves them to it.
    pub(crate) fn redirected<T: DeserializeOwned + Default>(&self) -> Result<T> {
        let mut file = File::from(std::io::stdin().as_fd().try_clone_to_owned()?);
        let kind = file.metadata()?.file_type();
        let is_meant = match kind.is_file() {
            true => file.stream_position()? == 0,
            false => kind.is_fifo() && begins_like_a_description(&file)?,
        };
        if !is_meant {
            return Ok(T::default());
        }
        let mut text = String::new();
        file.read_to_string(&mut text)?;
        parse_yaml(&text).context("cannot read the YAML on stdin")
    }

    /// Lets the user change `current`, from a pipe or in an editor, until `apply` accepts it.
    pub(crate) async fn edit<T, F>(&self, current: &impl Serialize, help: &str, mut apply: F) -> Result<()>
    where
        T: DeserializeOwned,
        F: AsyncFnMut(T) -> Result<()>,
    {
        if let Some(text) = self.piped()? {
            return apply(parse_yaml(&text)?).await;
        }
        let mut text = format!("{help}\n{}", to_yaml(current)?);
        loop {
            text = crate::editor::edit(&text)?;
            let result = match parse_yaml(&text) {
                Ok(changed) => apply(changed).await,
                Err(error) => Err(error.context("cannot read the YAML")),
            };
            let Err(error) = result else { return Ok(()) };
            self.printer.note(format!("{error:#}"));
            self.ask("Press enter to open the editor again or ctrl+c to abort change ")?;
        }
    }
}

/// Looks at what a pipe holds, and takes nothing.
fn begins_like_a_description(pipe: &File) -> Result<bool> {
    const LOOK: usize = 4096;
    const KEYS: [&str; 6] = ["config:", "description:", "devices:", "name:", "driver:", "type:"];
    let (mut copy, writer) = std::io::pipe()?;
    let copied = nix::fcntl::tee(pipe, &writer, LOOK, nix::fcntl::SpliceFFlags::SPLICE_F_NONBLOCK);
    drop(writer);
    let Ok(1..) = copied else { return Ok(false) }; // nothing is there, or not yet
    let mut text = Vec::new();
    copy.read_to_end(&mut text)?;
    let text = String::from_utf8_lossy(&text);
    let mut lines = text.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#') && *line != "---");
    Ok(lines.next().is_some_and(|line| KEYS.iter().any(|key| line.starts_with(key))))
}
