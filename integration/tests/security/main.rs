//! What has broken others, tried on Hull: each test is named after the entry it stands for, and its canaries are files of the
//! host that must be neither read nor written.
//!
//! Tried elsewhere:
//! * CVE-2018-16359 (a sandboxed process renames files of the host) and CVE-2018-19333 (it writes to others' shared memory):
//!   `rename-canary` and `system-v-shared-memory` of `supervisor/tests/hostile.rs`.
//!
//! Without an equivalent, so without a test:
//! * CVE-2022-23648: an image names a volume, whose content the daemon copies through the image's links. Images name no volumes
//!   here; for links where the daemon opens files of an image see `sec_cve_2026_48752_…`.

mod host_view;
mod images;
mod injection;
mod inside;
mod races;
mod rights;
mod support;
