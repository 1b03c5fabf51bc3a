//! `~/.config/hull/config.yml`. While it does not exist, LXD's own `~/.config/lxc/config.yml` is read; writes go to Hull's.

use anyhow::{Context as _, Result, bail};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub(crate) struct Settings {
    pub(crate) default_remote: String,
    pub(crate) remotes: BTreeMap<String, RemoteEntry>,
    pub(crate) aliases: BTreeMap<String, String>,
    /// Where it is written.
    #[serde(skip)]
    path: PathBuf,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct RemoteEntry {
    pub(crate) addr: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) auth_type: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) project: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) protocol: String,
    pub(crate) public: bool,
    /// Built in: cannot be changed.
    #[serde(skip)]
    pub(crate) fixed: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            default_remote: "local".into(),
            remotes: BTreeMap::new(),
            aliases: BTreeMap::new(),
            path: PathBuf::new(),
        }
    }
}

impl Settings {
    pub(crate) fn load() -> Result<Self> {
        let own = folder("HULL_CONF", "hull").join("config.yml");
        let lxd = folder("LXD_CONF", "lxc").join("config.yml");
        let found = [&own, &lxd].into_iter().find(|path| path.exists());
        let mut settings: Self = match found {
            None => Self::default(),
            Some(path) => {
                let text =
                    std::fs::read_to_string(path).with_context(|| format!("cannot read `{}`", path.display()))?;
                serde_norway::from_str(&text).with_context(|| format!("`{}` is not valid", path.display()))?
            }
        };
        settings.path = own;
        settings.add_built_in();
        Ok(settings)
    }

    pub(crate) fn save(&self) -> Result<()> {
        if let Some(folder) = self.path.parent() {
            std::fs::create_dir_all(folder)
                .with_context(|| format!("cannot make the folder `{}`", folder.display()))?;
        }
        let mut written = self.clone();
        written.remotes.retain(|name, remote| !remote.fixed || (name == "local" && !remote.project.is_empty()));
        let text = crate::output::to_yaml(&written)?;
        let temporary = self.path.with_extension("yml.new");
        std::fs::write(&temporary, text)
            .and_then(|()| std::fs::rename(&temporary, &self.path))
            .with_context(|| format!("cannot write `{}`", self.path.display()))
    }

    /// A remote that may be changed.
    pub(crate) fn changeable(&mut self, name: &str) -> Result<&mut RemoteEntry> {
        match self.remotes.get_mut(name) {
            None => bail!("Remote {name} doesn't exist"),
            Some(remote) if remote.fixed => bail!("Remote {name} is static and cannot be modified"),
            Some(remote) => Ok(remote),
        }
    }

    fn add_built_in(&mut self) {
        let project = self.remotes.get("local").map(|local| local.project.clone()).unwrap_or_default();
        let built_in = [
            ("local", RemoteEntry { addr: "unix://".into(), project, fixed: true, ..RemoteEntry::default() }),
            ("debian", RemoteEntry { protocol: "debian".into(), public: true, fixed: true, ..RemoteEntry::default() }),
        ];
        self.remotes.extend(built_in.map(|(name, entry)| (name.to_owned(), entry)));
        if !self.remotes.contains_key(&self.default_remote) {
            self.default_remote = "local".into();
        }
    }
}

fn folder(variable: &str, name: &str) -> PathBuf {
    if let Some(folder) = std::env::var_os(variable) {
        return folder.into();
    }
    let home = std::env::var_os("HOME").map_or_else(|| PathBuf::from("/root"), PathBuf::from);
    std::env::var_os("XDG_CONFIG_HOME").map_or_else(|| home.join(".config"), PathBuf::from).join(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lxds_file_is_understood() {
        let text = "default-remote: gone\nremotes:\n  local:\n    addr: unix://\n    project: blue\n    public: false\naliases:\n  ll: list -c n\n";
        let mut settings: Settings = serde_norway::from_str(text).unwrap();
        settings.add_built_in();
        assert_eq!(settings.default_remote, "local");
        assert_eq!(settings.remotes["local"].project, "blue");
        assert_eq!(settings.aliases["ll"], "list -c n");
        assert!(settings.remotes["debian"].fixed);
    }
}
