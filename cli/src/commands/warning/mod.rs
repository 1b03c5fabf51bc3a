//! Warnings of the server.

mod acknowledge;
mod delete;
mod list;
mod show;

use super::verbs;

verbs! {
    Warning {
        #[command(visible_alias = "ack")]
        Acknowledge(acknowledge::Acknowledge),
        #[command(visible_alias = "rm")]
        Delete(delete::Delete),
        #[command(visible_alias = "ls")]
        List(list::List),
        Show(show::Show),
    }
}
