//! HTTP as clients send it: heads, bodies of both framings, one request after another.

use hull_gateway::fuzzing::requests;

/// A byte for the size of the pieces in which the rest arrives.
pub fn heads(data: &[u8]) {
    let Some((piece, stream)) = data.split_first() else { return };
    let whole = requests(stream, usize::MAX / 2);
    // Where a request ends must not depend on how its bytes were cut: two readers would disagree.
    assert_eq!(requests(stream, usize::from(*piece)), whole);
    for (method, target, headers, _) in &whole {
        let broken = |text: &str| text.contains(['\r', '\n', '\0']);
        assert!(!broken(method) && !broken(target) && !target.contains(' '), "{method:?} {target:?}");
        assert!(headers.iter().all(|(name, value)| !broken(name) && !broken(value)), "{headers:?}");
    }
}
