//! The daemon of this machine.

mod dump;
mod init;
mod preseed;
mod questions;
mod shutdown;
mod upgrade;
mod waitready;

use super::verbs;

verbs! {
    Admin {
        Init(init::Init),
        Shutdown(shutdown::Shutdown),
        Upgrade(upgrade::Upgrade),
        Waitready(waitready::Waitready),
    }
}
