//! `metadata.yaml` of an instance.

mod edit;
mod show;

use crate::commands::verbs;

verbs! {
    Metadata {
        Edit(edit::Edit),
        Show(show::Show),
    }
}
