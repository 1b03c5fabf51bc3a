//! Settings of instances and of the server.

mod edit;
mod get;
mod metadata;
mod set;
mod show;
mod target;
mod trust;
mod unset;

use super::verbs;

verbs! {
    Config {
        /// Devices of instances
        #[command(subcommand)]
        Device(super::device::InstanceDevice),
        Edit(edit::Edit),
        Get(get::Get),
        /// Metadata of the image an instance was made from
        #[command(subcommand)]
        Metadata(metadata::Metadata),
        Set(set::Set),
        Show(show::Show),
        /// Clients that are trusted
        #[command(subcommand)]
        Trust(trust::Trust),
        Unset(unset::Unset),
    }
}
