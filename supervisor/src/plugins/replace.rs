//! Restart, upgrade and rollback: every process of a plugin is replaced by one of another version, or all stay as they are.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::{Arc, PoisonError};

use hull_plugin::{Code, DriverError};

use super::discover;
use super::permissions::growth;
use super::process::{Installed, Process, Status};
use super::registry::{Plugins, chain};
use super::versions::{Before, Choice, VersionError, Versions};

/// Whether an upgrade may give the plugin rights that the present version does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grant {
    Nothing,
    WhatItAsksFor,
}

/// How a restart treats a process that does not hand over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Restart {
    /// It serves on, and the restart fails.
    Gently,
    /// It is killed; its calls are repeated.
    ByForce,
}

/// What was chosen, in place of what was found.
pub(super) fn chosen(
    versions: &Versions,
    mut found: BTreeMap<String, Arc<Installed>>,
) -> BTreeMap<String, Arc<Installed>> {
    for plugin in versions.plugins() {
        let choice = versions.choice(&plugin);
        let Some(current) = choice.current else { continue };
        let built_in = found.get(&plugin).cloned();
        let before = match choice.previous {
            Some(Before::Version(number)) => versions.load(&plugin, number).ok().map(Arc::new).or(built_in),
            _ => built_in,
        };
        let loaded = versions.load(&plugin, current).map(|version| Installed { fallback: before.clone(), ..version });
        match (loaded, before) {
            (Ok(version), _) if version.manifest.name == plugin => {
                tracing::info!(plugin, version = version.manifest.version, "an installed version is run");
                found.insert(plugin, Arc::new(version));
            }
            (loaded, before) => {
                let error = loaded.err().map_or("it is another plugin's".into(), |error| chain(&error));
                tracing::error!(plugin, error, "the chosen version cannot be run: going back to the last good one");
                found.extend(before.map(|before| (plugin, before)));
            }
        }
    }
    found
}

impl Plugins {
    /// Replaces all processes of a plugin by fresh ones of the same version; quarantined ones are tried again.
    ///
    /// # Errors
    /// `NotFound`: no such plugin is installed. `Unavailable`: the fresh one was refused, and why.
    pub async fn restart(&self, plugin: &str, how: Restart) -> Result<(), DriverError> {
        let _claim = self.claim(plugin)?;
        let installed = self.installed(plugin)?;
        for process in self.processes_of(plugin) {
            if how == Restart::ByForce && !matches!(process.status(), Status::Stopped) {
                process.reset().await;
                process.ready().await?;
            } else {
                succeed(&process, &installed).await.map_err(|error| match error.code {
                    Code::Busy => error.hint(format!("`hull plugin restart {plugin} --force` ends it all the same")),
                    _ => error,
                })?;
            }
        }
        Ok(())
    }

    /// Replaces a plugin by the version in the directory `source`, which is copied; without one, by what now lies where Hull's
    /// own is. Returns the version that runs then.
    ///
    /// # Errors
    /// `NotFound`: no such plugin is installed. `InvalidConfig`: `source` has no plugin that could replace it. `Permission`: it
    /// asks for more than the present version. `Unavailable`: it was refused, and why. The present version serves on in all of them.
    pub async fn upgrade(&self, plugin: &str, source: Option<&Path>, grant: Grant) -> Result<String, DriverError> {
        let claim = self.claim(plugin)?;
        let old = self.installed(plugin)?;
        let new = self.candidate(plugin, source).await?;
        let refused = |error: DriverError| {
            if let Some(number) = new.number {
                self.0.versions.remove(plugin, number);
            }
            error
        };
        check(&old, &new, grant).map_err(refused)?;
        self.replace(&claim, &old, &new).await.map_err(refused)?;
        Ok(new.manifest.version.clone())
    }

    /// Goes back to the version that was run before the last upgrade. Returns that version.
    ///
    /// # Errors
    /// `NotFound`: no such plugin, or no earlier version. Otherwise as for [`Plugins::upgrade`].
    pub async fn rollback(&self, plugin: &str) -> Result<String, DriverError> {
        let claim = self.claim(plugin)?;
        let old = self.installed(plugin)?;
        let versions = &self.0.versions;
        let new = match versions.choice(plugin).previous {
            None => {
                return Err(DriverError::not_found(format!("plugin `{plugin}` has no earlier version to go back to")));
            }
            Some(Before::BuiltIn) => self.built_in(plugin)?,
            Some(Before::Version(number)) => versions.load(plugin, number).map_err(unusable)?,
        };
        let new = Arc::new(new);
        self.replace(&claim, &old, &new).await?;
        Ok(new.manifest.version.clone())
    }

    /// The version that a rollback would go to.
    pub(super) fn previous_version(&self, plugin: &str) -> Option<String> {
        let version = match self.0.versions.choice(plugin).previous? {
            Before::BuiltIn => self.built_in(plugin).ok()?,
            Before::Version(number) => self.0.versions.load(plugin, number).ok()?,
        };
        Some(version.manifest.version)
    }

    async fn candidate(&self, plugin: &str, source: Option<&Path>) -> Result<Arc<Installed>, DriverError> {
        let Some(source) = source else { return self.built_in(plugin).map(Arc::new) };
        if !source.is_absolute() || !source.is_dir() {
            let message = format!("`{}` is not the absolute path of a directory", source.display());
            return Err(DriverError::invalid("source", message));
        }
        let (versions, plugin, source) = (self.0.versions.clone(), plugin.to_owned(), source.to_owned());
        let copied = tokio::task::spawn_blocking(move || versions.copy_from(&plugin, &source)).await;
        let copied = copied.map_err(|error| DriverError::internal("copying a plugin ended early").because(error))?;
        copied.map(Arc::new).map_err(unusable)
    }

    /// What Hull comes with, as it lies there now.
    fn built_in(&self, plugin: &str) -> Result<Installed, DriverError> {
        let environment = &self.0.environment;
        let found = discover::found(&environment.executable, &environment.hull_dir).remove(plugin);
        let found = found.map(|installed| (*installed).clone());
        found.ok_or_else(|| {
            DriverError::not_found(format!("plugin `{plugin}` is not there any more where Hull's own plugins are"))
        })
    }

    /// Replaces every process, then notes the choice; any failure leaves everything at `old`.
    async fn replace(&self, _: &Claim, old: &Arc<Installed>, new: &Arc<Installed>) -> Result<(), DriverError> {
        let plugin = &new.manifest.name;
        let choice = Choice { current: new.number, previous: Some(self.before(old, new)?) };
        self.ensure_a_process(new)?;
        let mut replaced = Vec::new();
        let mut result = Ok(());
        while let Some(process) = self.settle(new) {
            result = succeed(&process, new).await;
            if result.is_err() {
                break;
            }
            replaced.push(process);
        }
        let unchanged = same_files(old, new) && old.number == new.number;
        if result.is_ok() && !unchanged {
            result = self.0.versions.choose(plugin, choice).map_err(unusable);
        }
        if let Err(error) = &result {
            tracing::warn!(plugin, %error, "an upgrade failed: the old version stays");
            for process in &replaced {
                if let Err(error) = succeed(process, old).await {
                    tracing::error!(process = %process.spec.name, %error, "cannot go back to the old version");
                }
            }
            while let Some(process) = self.settle(old) {
                if succeed(&process, old).await.is_err() {
                    break; // it was logged above
                }
            }
        }
        self.forget_the_homeless(plugin);
        result
    }

    /// What a rollback goes to: a copy if the old version is not where it was any more.
    fn before(&self, old: &Installed, new: &Installed) -> Result<Before, DriverError> {
        match old.number {
            Some(number) => Ok(Before::Version(number)),
            None if is_still_there(old) => Ok(Before::BuiltIn),
            None if same_files(old, new) => Ok(Before::BuiltIn),
            None => {
                let kept = self.0.versions.keep(old).map_err(unusable)?;
                Ok(kept.number.map_or(Before::BuiltIn, Before::Version))
            }
        }
    }

    /// A version that nobody has started yet is started, too: what does not start must not be chosen.
    fn ensure_a_process(&self, new: &Installed) -> Result<(), DriverError> {
        if self.processes_of(&new.manifest.name).is_empty() {
            let kind = new.manifest.kind;
            let driver = new.manifest.name.strip_prefix(&super::plugin_name(kind, "")).unwrap_or_default();
            self.process(kind, driver, None)?;
        }
        Ok(())
    }

    /// A storage driver's process without a pool has been of use.
    fn forget_the_homeless(&self, plugin: &str) {
        let processes = self.processes_of(plugin);
        let homeless = |process: &&Arc<Process>| {
            process.spec.installed.manifest.kind == hull_plugin::PluginKind::Storage && process.spec.name.pool.is_none()
        };
        processes.iter().filter(homeless).for_each(|process| self.forget(process));
    }

    fn claim(&self, plugin: &str) -> Result<Claim, DriverError> {
        let mut changing = self.0.changing.lock().unwrap_or_else(PoisonError::into_inner);
        if !changing.insert(plugin.to_owned()) {
            return Err(DriverError::new(Code::Busy, format!("plugin `{plugin}` is being replaced already")));
        }
        Ok(Claim { plugins: self.clone(), plugin: plugin.to_owned() })
    }
}

/// One replacement of a plugin at a time.
struct Claim {
    plugins: Plugins,
    plugin: String,
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.plugins.0.changing.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.plugin);
    }
}

async fn succeed(process: &Process, installed: &Arc<Installed>) -> Result<(), DriverError> {
    if matches!(process.status(), Status::Starting) {
        // Whether it comes up or is given up: then it is at rest. The failure itself is not what was asked for.
        let _ = process.ready().await;
    }
    if let Err(away) = process.pool_is_there().await {
        // Nothing can be started there now, and one pool must not keep the others from their new driver.
        tracing::warn!(process = %process.spec.name, %away, "replaced when its pool is back");
        process.adopt(installed.clone()).await;
        return Ok(());
    }
    process.succeed(installed.clone()).await
}

fn check(old: &Installed, new: &Installed, grant: Grant) -> Result<(), DriverError> {
    let (was, is) = (&old.manifest, &new.manifest);
    if (&was.name, was.kind) != (&is.name, is.kind) {
        let message = format!("it is the plugin `{}`, not `{}`", is.name, was.name);
        return Err(DriverError::invalid("source", message));
    }
    let grown = growth(was, is);
    if grown.is_empty() || grant == Grant::WhatItAsksFor {
        return Ok(());
    }
    let message = format!("version {} of plugin `{}` asks for more than {}", is.version, is.name, was.version);
    let error = DriverError::new(Code::Permission, message).hint("`--grant` gives it that");
    Err(grown.iter().fold(error, DriverError::because))
}

fn unusable(error: VersionError) -> DriverError {
    let code = match &error {
        VersionError::Write { .. } => Code::Internal,
        _ => Code::InvalidConfig,
    };
    DriverError::new(code, "the version cannot be used").because(chain(&error))
}

fn same_files(one: &Installed, other: &Installed) -> bool {
    let identities = |installed: &Installed| {
        installed.files.iter().map(|file| file.metadata().ok().map(|status| identity(&status))).collect::<Vec<_>>()
    };
    identities(one) == identities(other)
}

/// Whether the files lie where they were found.
fn is_still_there(installed: &Installed) -> bool {
    let names = std::iter::once(&installed.manifest.name).chain(&installed.manifest.companions);
    let paths = names.enumerate().map(|(index, name)| match index {
        0 => installed.executable.clone(),
        _ => installed.executable.with_file_name(name),
    });
    paths.zip(&installed.files).all(|(path, file)| {
        let there = std::fs::metadata(path).map(|status| identity(&status)).ok();
        there.is_some() && there == file.metadata().map(|status| identity(&status)).ok()
    })
}

fn identity(status: &std::fs::Metadata) -> (u64, u64, i64, i64, u64) {
    (status.dev(), status.ino(), status.mtime(), status.mtime_nsec(), status.size())
}
