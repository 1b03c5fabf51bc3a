//! hulld's side of the API: it accepts connections, knows who speaks, and answers what the gateway parsed.
//!
//! ```text
//! listener ─accept, SO_PEERCRED─▶ token ─▶ hull-gateway (HTTP) ─▶ ApiCall{token} ─▶ Router ─▶ ApiReply
//! ```
//! Owns the socket, the tokens and the gateway process; not the routes (a [`axum::Router`] is given) nor who may do what.
//! Invariant: a request reaches the router only with the identity that the kernel gave for its connection.

mod answer;
mod listen;
mod peers;
mod process;
mod request;

pub use answer::DescriptorBody;
pub use listen::{ListenError, bind};
pub use peers::Peer;
pub use process::{Gateways, GatewaysError};
pub use request::{UpgradeWish, UploadStream};
