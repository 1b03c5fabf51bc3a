//! The connection to the kernel.

use std::rc::Rc;

use rtnetlink::Handle;
use tokio::task::JoinHandle;

use super::error::LinkError;

#[derive(Clone)]
pub(crate) struct Links {
    pub(super) handle: Handle,
    _connection: Rc<Connection>,
}

/// The task that moves messages; it ends with the last [`Links`].
struct Connection(JoinHandle<()>);

impl Links {
    /// Must be called inside a `LocalSet`.
    pub(crate) fn open() -> Result<Self, LinkError> {
        let opened = rtnetlink::new_connection();
        let (connection, handle, _) = opened.map_err(|error| LinkError::system("open a netlink socket", error))?;
        let connection = Rc::new(Connection(tokio::task::spawn_local(connection)));
        Ok(Self { handle, _connection: connection })
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.0.abort();
    }
}
