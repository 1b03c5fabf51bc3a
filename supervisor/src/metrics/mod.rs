//! `/1.0/metrics`: figures for Prometheus, in OpenMetrics' text, under LXD's names; those of plugins under Hull's own.
//!
//! Everything is read when it is asked for, side by side and within a bound: what a silent driver would have said is left
//! out. Owns the names and the text; the figures are their nouns'. Start with [`gather`].

mod api;
mod daemon;
mod gather;
mod instance;
mod plugin;
mod text;

pub(crate) use api::routes;
