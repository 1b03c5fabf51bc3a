//! Samples, their medians, and the table.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Value, json};

/// Whether more is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Better {
    Less,
    More,
}

/// One line of the table.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Measure {
    pub(crate) title: &'static str,
    pub(crate) unit: &'static str,
    pub(crate) better: Better,
}

/// The samples of one side, by the measure's title, in the order of first appearance.
#[derive(Debug, Default)]
pub(crate) struct Samples(Vec<(Measure, Vec<f64>)>);

impl Samples {
    pub(crate) fn add(&mut self, measure: Measure, value: f64) {
        match self.0.iter_mut().find(|(one, _)| one.title == measure.title) {
            Some((_, values)) => values.push(value),
            None => self.0.push((measure, vec![value])),
        }
    }

    pub(crate) fn has(&self, measure: Measure) -> bool {
        self.values(measure.title).is_some()
    }

    fn values(&self, title: &str) -> Option<&[f64]> {
        self.0.iter().find(|(one, _)| one.title == title).map(|(_, values)| values.as_slice())
    }
}

/// The middle value; of an even count the mean of the two in the middle.
pub(crate) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => f64::NAN,
        count if count % 2 == 1 => sorted[count / 2],
        count => f64::midpoint(sorted[count / 2 - 1], sorted[count / 2]),
    }
}

/// Markdown: a row a measure, a column a side; with two sides how many times better the second is.
pub(crate) fn table(sides: &[(&str, &Samples)]) -> String {
    let mut text = String::from("| measure | unit |");
    let mut rule = String::from("|---|---|");
    for (name, _) in sides {
        text += &format!(" {name} |");
        rule += "---:|";
    }
    if sides.len() == 2 {
        text += &format!(" {} is better by |", sides[1].0);
        rule += "---:|";
    }
    text += &format!("\n{rule}\n");
    for measure in measures(sides) {
        let arrow = if measure.better == Better::More { " ↑" } else { "" };
        let medians: Vec<Option<f64>> =
            sides.iter().map(|(_, samples)| samples.values(measure.title).map(median)).collect();
        text += &format!("| {} | {}{arrow} |", measure.title, measure.unit);
        for median in &medians {
            text += &format!(" {} |", median.map_or("–".into(), figure));
        }
        if let [Some(first), Some(second)] = medians[..] {
            let ratio = if measure.better == Better::Less { first / second } else { second / first };
            text += &format!(" {} |", times(ratio));
        } else if sides.len() == 2 {
            text += " – |";
        }
        text += "\n";
    }
    text
}

/// All samples, for programs.
pub(crate) fn json(sides: &[(&str, &Samples)]) -> Value {
    let rows = measures(sides).into_iter().map(|measure| {
        let of = |samples: &Samples| json!(samples.values(measure.title));
        let values: BTreeMap<_, _> = sides.iter().map(|(name, samples)| (*name, of(samples))).collect();
        json!({ "measure": measure.title, "unit": measure.unit, "more_is_better": measure.better == Better::More, "samples": values })
    });
    Value::Array(rows.collect())
}

fn measures(sides: &[(&str, &Samples)]) -> Vec<Measure> {
    let mut all: Vec<Measure> = Vec::new();
    for (measure, _) in sides.iter().flat_map(|(_, samples)| &samples.0) {
        if !all.iter().any(|one| one.title == measure.title) {
            all.push(*measure);
        }
    }
    all
}

/// Three digits that mean something.
fn figure(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        size if size >= 1.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

fn times(ratio: f64) -> String {
    if ratio.is_finite() && ratio > 0.0 {
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = if ratio >= 10.0 { write!(text, "{ratio:.0}×") } else { write!(text, "{ratio:.1}×") };
        text
    } else {
        "–".into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_and_ratios_in_both_directions() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), 2.5);
        let start = Measure { title: "start", unit: "ms", better: Better::Less };
        let rate = Measure { title: "rate", unit: "/s", better: Better::More };
        let (mut one, mut two) = (Samples::default(), Samples::default());
        for (samples, ms, per_second) in [(&mut one, 150.0, 5.0), (&mut two, 10.0, 60.0)] {
            samples.add(start, ms);
            samples.add(rate, per_second);
        }
        let table = table(&[("LXD", &one), ("Hull", &two)]);
        assert!(table.contains("| start | ms | 150 | 10.0 | 15× |"), "{table}");
        assert!(table.contains("| rate | /s ↑ | 5.00 | 60.0 | 12× |"), "{table}");
        assert!(super::table(&[("LXD", &one)]).contains("| start | ms | 150 |\n"));
    }
}
