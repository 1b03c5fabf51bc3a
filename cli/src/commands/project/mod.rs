//! Projects.

mod create;
mod delete;
mod edit;
mod get;
mod list;
mod rename;
mod set;
mod show;
mod switch;
mod unset;

use super::verbs;

verbs! {
    Project {
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
        Switch(switch::Switch),
        Unset(unset::Unset),
    }
}
