//! Trusted client certificates: none, as long as only local clients are served (the socket's permissions decide).

mod api;

pub(crate) use api::routes;
