//! A name for an instance that was given none: an adjective and an animal.

use rand::seq::IndexedRandom;

use super::model::InstanceName;

const ADJECTIVES: [&str; 32] = [
    "able", "amber", "brave", "brisk", "calm", "clever", "cosy", "daring", "eager", "early", "fair", "fleet", "fond",
    "gentle", "glad", "golden", "hardy", "honest", "keen", "kind", "lively", "lucky", "merry", "mighty", "noble",
    "patient", "proud", "quick", "quiet", "steady", "swift", "wise",
];

const ANIMALS: [&str; 32] = [
    "albatross",
    "badger",
    "beaver",
    "bison",
    "crane",
    "dolphin",
    "eagle",
    "falcon",
    "ferret",
    "finch",
    "gannet",
    "heron",
    "ibis",
    "jackdaw",
    "kestrel",
    "lynx",
    "marten",
    "mole",
    "newt",
    "orca",
    "osprey",
    "otter",
    "penguin",
    "petrel",
    "plover",
    "puffin",
    "seal",
    "stork",
    "swan",
    "tern",
    "trout",
    "walrus",
];

/// A name that `taken` does not have.
pub(super) fn free(taken: impl Fn(&InstanceName) -> bool) -> InstanceName {
    let mut random = rand::rng();
    let mut suffix = String::new();
    loop {
        let adjective = ADJECTIVES.choose(&mut random).expect("the list is not empty");
        let animal = ANIMALS.choose(&mut random).expect("the list is not empty");
        let name =
            format!("{adjective}-{animal}{suffix}").parse().expect("two words and a hyphen are a host name's label");
        if !taken(&name) {
            return name;
        }
        suffix = format!("-{}", rand::random::<u16>()); // a thousand pairs run out on a large host
    }
}
