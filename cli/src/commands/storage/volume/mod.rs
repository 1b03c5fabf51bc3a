//! Volumes of storage pools.

mod create;
mod delete;
mod list;
mod show;

use crate::commands::verbs;

verbs! {
    Volume {
        Create(create::Create),
        #[command(visible_alias = "rm")]
        Delete(delete::Delete),
        #[command(visible_alias = "ls")]
        List(list::List),
        Show(show::Show),
    }
}

/// Splits `[TYPE/]NAME`; custom volumes need no type.
fn kind_and_name(text: &str) -> (&str, &str) {
    match text.split_once('/') {
        Some((kind @ ("container" | "virtual-machine" | "image" | "custom"), name)) => (kind, name),
        _ => ("custom", text),
    }
}
