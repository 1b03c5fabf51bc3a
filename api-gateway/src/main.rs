//! `hull-gateway`: see the library.

fn main() -> std::process::ExitCode {
    hull_gateway::main()
}
