//! Taking more than one's share. These run alone: they end in ways that others would not survive.

use std::fs::File;
use std::io::{self, Write};

use crate::Attempt;
use crate::sys::{foreign_call, idle_child};

/// Only when asked for by name.
pub(crate) const ALONE: [&str; 5] = ["fork-bomb", "memory-hog", "descriptor-hog", "fill-temporary", "foreign-call"];

pub(crate) const ATTEMPTS: &[Attempt] = &[
    ("fork-bomb", |_| fork_bomb()),
    ("memory-hog", |_| memory_hog()),
    ("descriptor-hog", |_| descriptor_hog()),
    ("fill-temporary", |_| fill("/tmp/hostile-full")),
    ("foreign-call", |_| foreign_call()),
];

/// Far beyond every manifest's bound.
const TOO_MANY: usize = 20_000;

/// Processes, or threads where a program may start no process.
fn fork_bomb() -> io::Result<()> {
    let mut children = match idle_child() {
        Ok(child) => vec![child],
        Err(error) if error.raw_os_error() == Some(libc::EPERM) => return thread_bomb(),
        Err(error) => return Err(error),
    };
    let end = (0..TOO_MANY).find_map(|_| match idle_child() {
        Ok(child) => {
            children.push(child);
            None
        }
        Err(error) => Some(error),
    });
    for child in &children {
        let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(*child), nix::sys::signal::Signal::SIGKILL);
    }
    eprintln!("{{\"forked\": {}}}", children.len());
    end.map_or(Ok(()), Err)
}

fn thread_bomb() -> io::Result<()> {
    let idle = || {
        std::thread::Builder::new().stack_size(64 << 10).spawn(|| {
            loop {
                std::thread::park()
            }
        })
    };
    let (mut threads, mut end) = (0, None);
    while threads < TOO_MANY && end.is_none() {
        match idle() {
            Ok(_) => threads += 1,
            Err(error) => end = Some(error),
        }
    }
    eprintln!("{{\"forked\": {threads}}}");
    end.map_or(Ok(()), Err)
}

/// 8 GiB, each page touched.
fn memory_hog() -> io::Result<()> {
    let mut all: Vec<Vec<u8>> = Vec::new();
    for _ in 0..8192 {
        let mut chunk = vec![0; 1 << 20];
        chunk.iter_mut().step_by(4096).for_each(|byte| *byte = 1);
        all.push(chunk);
    }
    drop(std::hint::black_box(all));
    Ok(())
}

fn descriptor_hog() -> io::Result<()> {
    let mut all = Vec::new();
    for _ in 0..2 << 20 {
        all.push(File::open("/dev/null")?);
    }
    Ok(())
}

fn fill(path: &str) -> io::Result<()> {
    let mut file = File::create(path)?;
    let result = (0..8192).try_for_each(|_| file.write_all(&[1; 1 << 20]));
    drop(file);
    std::fs::remove_file(path)?;
    result
}
