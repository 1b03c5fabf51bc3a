//! Clients that open too much, or say nothing: they shut out themselves and delay nobody.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use anyhow::Result;
use hull_integration::{Host, Target, until};
use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// More than hulld lets even root have.
const TOO_MANY: usize = 5000;

#[test]
fn connections_have_a_bound_and_those_below_it_work_on() -> Result<()> {
    let host = Host::empty()?;
    if host.target() == Target::Lxd {
        return host.assert_nothing_leaked(); // it has no bound
    }
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, most.min(TOO_MANY as u64 + 200), most)?;
    let connect = || UnixStream::connect(host.directory().join("unix.socket"));
    let mut early = connect()?;
    let silent: Vec<UnixStream> = (0..TOO_MANY).map(|_| connect()).collect::<std::io::Result<_>>()?;

    let refused = host.rest.get("/1.0")?;
    assert_eq!((refused.status, refused.header("retry-after")), (503, Some("1")));
    assert!(refused.error()?.contains("too many connections"), "{refused:?}");
    early.set_read_timeout(Some(Duration::from_secs(10)))?;
    early.write_all(b"GET /1.0 HTTP/1.1\r\nHost: h\r\n\r\n")?;
    let mut status = [0; 15];
    early.read_exact(&mut status)?;
    assert_eq!(&status, b"HTTP/1.1 200 OK");

    drop(silent);
    until("there is room again", Duration::from_secs(20), || {
        host.rest.get("/1.0").ok().filter(|answer| answer.status == 200)
    })?;
    host.assert_nothing_leaked()
}
