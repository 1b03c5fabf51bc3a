//! Names of images.

mod change;
mod list;

use crate::commands::verbs;

verbs! {
    Alias {
        Create(change::Create),
        #[command(visible_alias = "rm")]
        Delete(change::Delete),
        #[command(visible_alias = "ls")]
        List(list::List),
        #[command(visible_alias = "mv")]
        Rename(change::Rename),
    }
}
