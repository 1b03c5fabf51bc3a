//! What has broken others, tried on Hull: each test is named after the entry it stands for, and its canaries are files of the
//! host that must be neither read nor written.

mod host_view;
mod images;
mod injection;
mod inside;
mod races;
mod support;
