//! Handles: what Hull keeps for this driver, as JSON.

use hull_plugin::Handle;
use serde::{Deserialize, Serialize};

/// What a handle stands for. The state directory knows the rest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Object {
    Network { name: String },
    Nic { host_interface: String },
}

const VERSION: u16 = 1;

pub(crate) fn network(name: &str) -> Handle {
    handle(&Object::Network { name: name.into() })
}

pub(crate) fn nic(host_interface: &str) -> Handle {
    handle(&Object::Nic { host_interface: host_interface.into() })
}

/// What a stored handle stands for; `None` for one of another version or a damaged one.
pub(crate) fn read(handle: &Handle) -> Option<Object> {
    (handle.version == VERSION).then(|| serde_json::from_slice(&handle.data).ok()).flatten()
}

fn handle(object: &Object) -> Handle {
    Handle { version: VERSION, data: serde_json::to_vec(object).expect("two strings always have a JSON form") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_can_be_read_and_nothing_else() {
        assert_eq!(read(&nic("veth1")), Some(Object::Nic { host_interface: "veth1".into() }));
        assert_eq!(read(&network("br0")), Some(Object::Network { name: "br0".into() }));
        assert_eq!(read(&Handle { version: 2, ..nic("veth1") }), None);
        assert_eq!(read(&Handle { version: 1, data: b"{".to_vec() }), None);
    }
}
