//! Storage pools.

mod create;
mod delete;
mod edit;
mod get;
mod info;
mod list;
mod set;
mod show;
mod unset;
mod volume;

use super::verbs;

verbs! {
    Storage {
        Create(create::Create),
        #[command(visible_alias = "rm")]
        Delete(delete::Delete),
        Edit(edit::Edit),
        Get(get::Get),
        Info(info::Info),
        #[command(visible_alias = "ls")]
        List(list::List),
        Set(set::Set),
        Show(show::Show),
        Unset(unset::Unset),
        /// Volumes of pools
        #[command(subcommand)]
        Volume(volume::Volume),
    }
}
