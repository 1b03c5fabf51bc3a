//! Servers and sources of images.

mod add;
mod change;
mod list;

use super::verbs;

verbs! {
    Remote {
        Add(add::Add),
        GetDefault(change::GetDefault),
        #[command(visible_alias = "ls")]
        List(list::List),
        #[command(visible_alias = "rm")]
        Remove(change::Remove),
        #[command(visible_alias = "mv")]
        Rename(change::Rename),
        SetUrl(change::SetUrl),
        #[command(visible_alias = "set-default")]
        Switch(change::Switch),
    }
}
