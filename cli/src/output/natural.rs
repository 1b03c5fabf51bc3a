//! The order of rows: numbers inside names count as numbers, empty cells come last.

use std::cmp::Ordering;

pub(crate) fn sort_naturally(rows: &mut [Vec<String>]) {
    rows.sort_by(|left, right| {
        left.iter()
            .zip(right)
            .map(|(one, other)| cell(one, other))
            .find(|order| order.is_ne())
            .unwrap_or(Ordering::Equal)
    });
}

fn cell(one: &str, other: &str) -> Ordering {
    match (one.is_empty(), other.is_empty()) {
        (true, true) => Ordering::Equal,
        (true, false) => Ordering::Greater,
        (false, true) => Ordering::Less,
        (false, false) => natural(one, other),
    }
}

fn natural(one: &str, other: &str) -> Ordering {
    let (mut one, mut other) = (one, other);
    while !one.is_empty() && !other.is_empty() {
        let (piece, rest) = chunk(one);
        let (against, rest_against) = chunk(other);
        let order = match (piece.parse::<u128>(), against.parse::<u128>()) {
            (Ok(number), Ok(against_number)) => number.cmp(&against_number).then(piece.len().cmp(&against.len())),
            _ => piece.cmp(against),
        };
        if order.is_ne() {
            return order;
        }
        (one, other) = (rest, rest_against);
    }
    one.len().cmp(&other.len())
}

/// The leading digits, or all before the next digit.
fn chunk(text: &str) -> (&str, &str) {
    let digits = text.starts_with(|first: char| first.is_ascii_digit());
    let end = text.find(|character: char| character.is_ascii_digit() != digits).unwrap_or(text.len());
    text.split_at(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_count_and_empty_is_last() {
        let mut rows: Vec<Vec<String>> =
            ["c10", "", "c2", "b", "c1"].iter().map(|name| vec![(*name).to_owned()]).collect();
        sort_naturally(&mut rows);
        assert_eq!(rows.concat(), ["b", "c1", "c2", "c10", ""]);
    }
}
