//! An image source that builds Debian itself: packages from a mirror, put together by mmdebstrap.
//!
//! Owns: which releases there are ([`release`]), where packages come from ([`apt`]), how a build runs ([`build`]) and
//! what an image says about itself ([`metadata`]). Knows nothing of instances or of where images are kept.
//! Start at [`driver`].

mod apt;
mod build;
mod driver;
mod metadata;
mod release;

hull_plugin::manifest!("../plugin.toml");

fn main() -> std::process::ExitCode {
    hull_plugin::serve_image(|host| driver::Debian::new(host, driver::Places::default()))
}
