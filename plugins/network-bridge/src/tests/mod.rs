//! The driver behind its real sockets, in a network namespace of its own: real bridges, rules and dnsmasq, and nothing
//! of the host touched.

mod attached;
mod host;
mod networks;
mod sys;
