//! Work that is going on.

mod delete;
mod list;
mod show;

use super::verbs;

verbs! {
    Operation {
        #[command(visible_aliases = ["cancel", "rm"])]
        Delete(delete::Delete),
        #[command(visible_alias = "ls")]
        List(list::List),
        Show(show::Show),
    }
}
