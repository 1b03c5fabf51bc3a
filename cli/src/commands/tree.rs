//! Every word of the client.

use super::verbs::verbs;
use super::{
    admin, alias, completion, config, console, copy, create, delete, doctor, exec, file, image, info, list, monitor,
    network, operation, plugin, power, profile, project, query, remote, rename, restore, snapshot, storage, version,
    warning,
};
use crate::context::Context;
use anyhow::Result;

verbs! {
    Command {
        /// Administer the daemon of this machine
        #[command(subcommand)]
        Admin(admin::Admin),
        /// Short names for longer command lines
        #[command(subcommand)]
        Alias(alias::Alias),
        Completion(completion::Completion),
        /// Settings and devices of instances and of the server
        #[command(subcommand)]
        Config(config::Config),
        Console(console::Console),
        #[command(visible_alias = "cp")]
        Copy(copy::Copy),
        #[command(visible_alias = "rm")]
        Delete(delete::Delete),
        Doctor(doctor::Doctor),
        Exec(exec::Exec),
        /// Files inside instances
        #[command(subcommand)]
        File(file::File),
        /// Images that instances are made from
        #[command(subcommand)]
        Image(image::Image),
        Info(info::Info),
        Init(create::Init),
        Launch(create::Launch),
        #[command(visible_alias = "ls")]
        List(list::List),
        Monitor(monitor::Monitor),
        #[command(visible_alias = "mv")]
        Move(rename::Move),
        /// Networks
        #[command(subcommand)]
        Network(network::Network),
        /// Work that is going on
        #[command(subcommand)]
        Operation(operation::Operation),
        Pause(power::Pause),
        /// Plugins: the processes that do the daemon's work
        #[command(subcommand)]
        Plugin(plugin::Plugin),
        /// Profiles: settings and devices that instances share
        #[command(subcommand)]
        Profile(profile::Profile),
        /// Projects
        #[command(subcommand)]
        Project(project::Project),
        Query(query::Query),
        /// Servers and sources of images
        #[command(subcommand)]
        Remote(remote::Remote),
        Rename(rename::Rename),
        Restart(power::Restart),
        Restore(restore::Restore),
        Snapshot(snapshot::Snapshot),
        Start(power::Start),
        Stop(power::Stop),
        /// Storage pools and volumes
        #[command(subcommand)]
        Storage(storage::Storage),
        Version(version::Version),
        /// Warnings of the server
        #[command(subcommand)]
        Warning(warning::Warning),
    }
}

/// An end with a status that is not the usual 1.
#[derive(Debug)]
pub(crate) struct Exit {
    pub(crate) status: u8,
    pub(crate) message: Option<String>,
}

impl std::fmt::Display for Exit {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "ended with status {}", self.status)
    }
}

impl std::error::Error for Exit {}

/// Cells of a header.
pub(crate) fn header(titles: &[&str]) -> Vec<String> {
    titles.iter().map(|title| (*title).to_owned()).collect()
}

pub(crate) fn yes_no(truth: bool) -> String {
    if truth { "YES" } else { "NO" }.to_owned()
}

/// Puts `value` on the screen as YAML.
pub(crate) fn show(cx: &Context, value: &impl serde::Serialize) -> Result<()> {
    cx.printer.text(crate::output::to_yaml(value)?);
    Ok(())
}
