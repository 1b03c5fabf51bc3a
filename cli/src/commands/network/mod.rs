//! Networks.

mod attach;
mod create;
mod delete;
mod detach;
mod edit;
mod get;
mod info;
mod leases;
mod list;
mod rename;
mod set;
mod show;
mod unset;

use super::verbs;
pub(crate) use attach::nic;

verbs! {
    Network {
        Attach(attach::Attach),
        AttachProfile(attach::AttachProfile),
        Create(create::Create),
        #[command(visible_alias = "rm")]
        Delete(delete::Delete),
        Detach(detach::Detach),
        DetachProfile(detach::DetachProfile),
        Edit(edit::Edit),
        Get(get::Get),
        Info(info::Info),
        #[command(visible_alias = "ls")]
        List(list::List),
        ListLeases(leases::ListLeases),
        #[command(visible_alias = "mv")]
        Rename(rename::Rename),
        Set(set::Set),
        Show(show::Show),
        Unset(unset::Unset),
    }
}
