//! The network driver `bridge`; see the library.

hull_plugin::manifest!("../plugin.toml");

fn main() -> std::process::ExitCode {
    network_bridge::main()
}
