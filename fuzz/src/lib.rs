//! Everything of Hull that parses what strangers write, as functions of bytes: each panics on a finding.
//!
//! `cargo xtask fuzz` runs them under libFuzzer (`fuzz_targets/`), and the ordinary tests run them over the seeds
//! (`seeds/TARGET/`) and some thousand mutations of them. A new target: a function here, its name in [`TARGETS`], three
//! lines in `fuzz_targets/`, an entry in Cargo.toml, seeds.

mod archives;
mod bodies;
mod controls;
mod filters;
mod frames;
mod heads;
mod manifests;
mod metadata;
pub mod mutation;
mod settings;
mod uploads;
mod websockets;

pub use archives::archives;
pub use bodies::bodies;
pub use controls::controls;
pub use filters::filters;
pub use frames::frames;
pub use heads::heads;
pub use manifests::manifests;
pub use metadata::metadata;
pub use settings::settings;
pub use uploads::uploads;
pub use websockets::websockets;

/// A target by its name.
pub type Target = (&'static str, fn(&[u8]));

pub const TARGETS: [Target; 11] = [
    ("archives", archives),
    ("bodies", bodies),
    ("controls", controls),
    ("filters", filters),
    ("frames", frames),
    ("heads", heads),
    ("manifests", manifests),
    ("metadata", metadata),
    ("settings", settings),
    ("uploads", uploads),
    ("websockets", websockets),
];
