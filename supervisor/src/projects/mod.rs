//! Projects: Hull has the one every server has, `default`.
//!
//! Owns the answers of `/1.0/projects`; that nothing else exists is [`crate::api::Scope`]'s to say for other nouns.

mod api;

pub(crate) use api::routes;
