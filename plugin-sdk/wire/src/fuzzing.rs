//! A frame as the receiving end takes it, without a socket: for the fuzz targets.

use std::io;
use std::os::fd::OwnedFd;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::fd::collecting;
use crate::frame::{Call, Reply, encode};
use crate::transport::decode;

/// A frame's bytes and descriptors.
pub type Packet = (Vec<u8>, Vec<OwnedFd>);

/// Takes a frame as a server does, and writes what was understood down again.
///
/// # Errors
/// It is refused.
pub fn call<T: Serialize + DeserializeOwned>(bytes: &[u8], descriptors: Vec<OwnedFd>) -> io::Result<Packet> {
    let call: Call<T> = decode(bytes, descriptors)?;
    let (again, descriptors) = collecting(|| encode(&call));
    drop(call.into_tarpc());
    Ok((again?, descriptors))
}

/// Takes a frame as a client does; see [`call`].
///
/// # Errors
/// It is refused.
pub fn reply<T: Serialize + DeserializeOwned>(bytes: &[u8], descriptors: Vec<OwnedFd>) -> io::Result<Packet> {
    let reply: Reply<T> = decode(bytes, descriptors)?;
    let (again, descriptors) = collecting(|| encode(&reply));
    drop(reply.into_tarpc());
    Ok((again?, descriptors))
}
