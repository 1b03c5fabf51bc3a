//! The image source `file`; see the library.

hull_plugin::manifest!("../plugin.toml");

fn main() -> std::process::ExitCode {
    image_file::main()
}
