//! The filter of collections, and queries.

use hulld::fuzzing::{filter, query_value};

/// Lines: a filter, the object it is tried on, a request's target.
pub fn filters(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let mut lines = text.splitn(3, '\n');
    let (expression, object, target) = (lines.next(), lines.next(), lines.next());
    let object = object.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
    for expression in [expression.map(str::to_owned), target.and_then(|target| query_value(target, "filter"))] {
        let Some(expression) = expression else { continue };
        let Some(passed) = filter(&expression, &object) else { continue };
        // A clause that changes nothing changes nothing.
        let longer = format!("{expression} and not absolutely.nothing eq x");
        assert!(filter(&longer, &object).is_none_or(|again| again == passed), "{expression:?} on {object}");
    }
}
