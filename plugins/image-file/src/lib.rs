//! The image source `file`: uploads. It delivers nothing by itself; it takes uploads apart and inspects image files.
//!
//! All reading happens in threads, never on the event loop: the other end of an upload may be as slow as it likes.

mod driver;
#[doc(hidden)]
pub mod fuzzing;
mod inspect;
mod receive;

#[cfg(test)]
mod tests;

/// The whole program.
pub fn main() -> std::process::ExitCode {
    hull_plugin::serve_image(driver::FileSource::new)
}
