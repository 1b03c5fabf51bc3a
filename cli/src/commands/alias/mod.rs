//! Short names for longer command lines.

mod change;
mod list;

use super::verbs;

verbs! {
    Alias {
        Add(change::Add),
        #[command(visible_alias = "ls")]
        List(list::List),
        #[command(visible_alias = "rm")]
        Remove(change::Remove),
        #[command(visible_alias = "mv")]
        Rename(change::Rename),
    }
}
