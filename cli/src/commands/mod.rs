//! The words of the client: a noun is a folder, a verb is a file. [`Command`] is the tree's root.

mod admin;
mod alias;
mod completion;
mod config;
mod console;
mod copy;
mod create;
mod delete;
mod device;
mod doctor;
mod exec;
mod file;
mod image;
mod info;
mod keyed;
mod list;
mod monitor;
mod network;
mod operation;
mod pairs;
mod plugin;
mod power;
mod profile;
mod project;
mod query;
mod remote;
mod rename;
mod restore;
mod snapshot;
mod storage;
mod tree;
mod verbs;
mod version;
mod warning;

pub(crate) use tree::{Command, Exit, header, show, yes_no};
pub(crate) use verbs::verbs;
