//! The driver behind real sockets, with uploads through real pipes.

mod inspecting;
mod receiving;
mod source;
