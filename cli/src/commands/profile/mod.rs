//! Profiles.

mod assign;
mod copy;
mod create;
mod delete;
mod edit;
mod get;
mod list;
mod rename;
mod set;
mod show;
mod unset;

use super::verbs;

verbs! {
    Profile {
        Add(assign::Add),
        #[command(visible_alias = "apply")]
        Assign(assign::Assign),
        #[command(visible_alias = "cp")]
        Copy(copy::Copy),
        Create(create::Create),
        #[command(visible_alias = "rm")]
        Delete(delete::Delete),
        /// Devices of profiles
        #[command(subcommand)]
        Device(super::device::ProfileDevice),
        Edit(edit::Edit),
        Get(get::Get),
        #[command(visible_alias = "ls")]
        List(list::List),
        Remove(assign::Remove),
        #[command(visible_alias = "mv")]
        Rename(rename::Rename),
        Set(set::Set),
        Show(show::Show),
        Unset(unset::Unset),
    }
}
