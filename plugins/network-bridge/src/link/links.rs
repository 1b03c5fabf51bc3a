//! The connection to the kernel.

use std::rc::Rc;

use futures::{TryStream, TryStreamExt};
use rtnetlink::Handle;
use tokio::sync::Mutex;
use tokio::task::JoinHandle;

use super::error::LinkError;

#[derive(Clone)]
pub(crate) struct Links {
    pub(super) handle: Handle,
    _connection: Rc<Connection>,
    /// Held while a list is read: the kernel makes one at a time for a socket, and refuses others with `EBUSY`.
    listing: Rc<Mutex<()>>,
}

/// The task that moves messages; it ends with the last [`Links`].
struct Connection(JoinHandle<()>);

impl Links {
    /// Must be called inside a `LocalSet`.
    pub(crate) fn open() -> Result<Self, LinkError> {
        let opened = rtnetlink::new_connection();
        let (connection, handle, _) = opened.map_err(|error| LinkError::system("open a netlink socket", error))?;
        let connection = Rc::new(Connection(tokio::task::spawn_local(connection)));
        Ok(Self { handle, _connection: connection, listing: Rc::default() })
    }

    /// The whole of the list that `ask` asks for.
    pub(super) async fn list<S: TryStream<Error = rtnetlink::Error>>(
        &self,
        ask: impl FnOnce(&Handle) -> S,
    ) -> Result<Vec<S::Ok>, rtnetlink::Error> {
        let _alone = self.listing.lock().await;
        ask(&self.handle).try_collect().await
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.0.abort();
    }
}
