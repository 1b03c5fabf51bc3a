//! The driver behind real sockets, with real images in private directories. They need root, as the driver does.

mod attacks;
mod copies;
mod images;
mod pool;
mod pools;
mod recovery;
mod trees;
mod unpacking;
