//! Plugins: the processes that do the daemon's work.

mod info;
mod list;
mod logs;
mod restart;
mod rollback;
mod upgrade;

use super::verbs;

verbs! {
    Plugin {
        Info(info::Info),
        #[command(visible_alias = "ls")]
        List(list::List),
        Logs(logs::Logs),
        Restart(restart::Restart),
        Rollback(rollback::Rollback),
        Upgrade(upgrade::Upgrade),
    }
}
