//! Files inside instances.

mod delete;
mod edit;
mod place;
mod pull;
mod push;
mod transfer;

use super::verbs;

verbs! {
    File {
        #[command(visible_alias = "rm")]
        Delete(delete::Delete),
        Edit(edit::Edit),
        Pull(pull::Pull),
        Push(push::Push),
    }
}
