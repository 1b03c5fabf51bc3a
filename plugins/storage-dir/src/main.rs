//! The storage driver `dir`: volumes are directories of the pool's directory, which this process sees at `/pool`.
//!
//! ```text
//! /pool/hull-pool.json            whose pool this is
//!      /volumes/KIND/NAME/        a volume: volume.json, and
//!                        rootfs/ metadata.yaml templates/     of an instance or image
//!                        data/                                of anything else
//!      /making/RANDOM/            half a volume; becomes one by a rename
//!      /deleting/RANDOM/          no volume any more; removed in the background
//! ```
//! Invariant: what stands in `volumes` is whole. A crash leaves things in `making` and `deleting` only, which
//! `open_pool` clears. Start with `driver.rs`.

mod driver;
mod failure;
mod locks;
mod pool;
mod reaper;
mod volumes;

#[cfg(test)]
mod tests;

hull_plugin::manifest!("../plugin.toml");

fn main() -> std::process::ExitCode {
    hull_plugin::serve_storage(|host| driver::DirDriver::new(host, "/pool"))
}
