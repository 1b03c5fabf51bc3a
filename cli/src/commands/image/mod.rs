//! Images that instances are made from.

mod alias;
mod copy;
mod delete;
mod edit;
mod export;
mod import;
mod info;
mod list;
mod naming;
mod property;
mod refresh;
mod show;
mod verbs;

pub(crate) use verbs::Image;
use verbs::{load, locate, megabytes};
