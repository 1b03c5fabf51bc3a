//! Volumes of storage pools.

mod create;
mod delete;
mod edit;
mod get;
mod list;
mod reference;
mod rename;
mod set;
mod show;
mod unset;

use crate::commands::verbs;
use reference::{keyed, kind_and_name};

verbs! {
    Volume {
        Create(create::Create),
        #[command(visible_alias = "rm")]
        Delete(delete::Delete),
        Edit(edit::Edit),
        Get(get::Get),
        #[command(visible_alias = "ls")]
        List(list::List),
        #[command(visible_alias = "mv")]
        Rename(rename::Rename),
        Set(set::Set),
        Show(show::Show),
        Unset(unset::Unset),
    }
}
