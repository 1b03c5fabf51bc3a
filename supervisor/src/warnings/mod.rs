//! Warnings: what the administrator should know. Nothing raises one yet, so there are none.

mod api;

pub(crate) use api::routes;
