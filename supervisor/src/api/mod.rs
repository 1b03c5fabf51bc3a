//! The REST API's common ground: envelopes, errors, ETags, and what a request carries besides HTTP.
//!
//! The routes themselves are in the nouns' `api.rs`; [`router`] puts them together.

mod decode;
mod error;
mod etag;
mod method;
mod request;
mod response;
mod router;

pub(crate) use decode::{document, object, typed};
pub(crate) use error::ApiError;
pub(crate) use etag::{check as check_etag, of as etag_of};
pub(crate) use request::{Body, Json, Peer, Scope};
pub(crate) use response::{Reply, created, empty, sync, sync_tagged};
pub(crate) use router::router;
