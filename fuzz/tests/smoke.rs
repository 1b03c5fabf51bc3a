//! Every target over its seeds and some thousand mutations of them, the same in every run.
#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests are test code

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use hull_fuzz::TARGETS;
use hull_fuzz::mutation::Mutator;

const MUTATIONS: usize = 20_000;
/// The slow ones stop earlier: this is a smoke test, `cargo xtask fuzz` is the fuzzer.
const PATIENCE: Duration = Duration::from_secs(4);

macro_rules! targets {
    ($($name:ident),* $(,)?) => {
        $(#[test]
        fn $name() {
            smoke(stringify!($name));
        })*

        #[test]
        fn every_target_is_here_and_has_seeds_and_a_program() {
            let names: Vec<&str> = TARGETS.iter().map(|(name, _)| *name).collect();
            assert_eq!(names, [$(stringify!($name)),*]);
            for name in names {
                assert!(!seeds(name).is_empty(), "{name}");
                assert!(root().join("fuzz_targets").join(name).with_extension("rs").is_file(), "{name}");
            }
        }
    };
}

targets!(archives, bodies, controls, filters, frames, heads, manifests, metadata, settings, uploads, websockets,);

fn root() -> PathBuf {
    std::env::var_os("CARGO_MANIFEST_DIR").unwrap().into()
}

fn seeds(name: &str) -> Vec<Vec<u8>> {
    let entries = std::fs::read_dir(root().join("seeds").join(name)).unwrap();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.iter().map(|path| std::fs::read(path).unwrap()).collect()
}

fn smoke(name: &str) {
    let (_, target) = TARGETS.iter().find(|(other, _)| *other == name).unwrap();
    let seeds = seeds(name);
    seeds.iter().for_each(|seed| attempt(name, *target, seed));
    let (mut mutator, begun) = (Mutator::new(0x6875_6c6c), Instant::now());
    for count in 0..MUTATIONS {
        if begun.elapsed() > PATIENCE {
            eprintln!("{name}: {count} mutations in {} s", PATIENCE.as_secs());
            return;
        }
        attempt(name, *target, &mutator.next(&seeds));
    }
    eprintln!("{name}: {MUTATIONS} mutations in {:?}", begun.elapsed());
}

fn attempt(name: &str, target: fn(&[u8]), input: &[u8]) {
    if catch_unwind(AssertUnwindSafe(|| target(input))).is_err() {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-finding"));
        std::fs::write(&path, input).unwrap();
        panic!("a finding, again with: cargo xtask fuzz {name} --input {}", path.display());
    }
}
