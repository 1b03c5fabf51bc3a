//! Clients that are trusted.

mod add;
mod list;
mod remove;
mod show;

use crate::commands::verbs;

verbs! {
    Trust {
        Add(add::Add),
        #[command(visible_alias = "ls")]
        List(list::List),
        #[command(visible_alias = "rm")]
        Remove(remove::Remove),
        Show(show::Show),
    }
}
