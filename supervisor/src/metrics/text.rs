//! OpenMetrics' text: families with what they mean and of which type they are, then their samples.

use std::collections::BTreeMap;
use std::fmt::Write;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Counter,
    Gauge,
}

/// A name, what it counts, and how.
#[derive(Clone, Copy, Debug)]
pub(super) struct Family {
    pub(super) name: &'static str,
    pub(super) help: &'static str,
    pub(super) kind: Kind,
}

/// All samples, by family.
#[derive(Default)]
pub(super) struct Metrics(BTreeMap<&'static str, (Family, Vec<Sample>)>);

struct Sample {
    labels: String,
    value: f64,
}

impl Metrics {
    /// Labels come out in the order of their names.
    pub(super) fn add(&mut self, family: &Family, labels: &[(&str, &str)], value: f64) {
        let mut sorted = labels.to_vec();
        sorted.sort_unstable();
        let labels = sorted.iter().map(|(name, value)| format!("{name}=\"{}\"", escaped(value))).collect::<Vec<_>>();
        let (_, samples) = self.0.entry(family.name).or_insert_with(|| (*family, Vec::new()));
        samples.push(Sample { labels: labels.join(","), value });
    }

    pub(super) fn rendered(&self) -> String {
        let mut text = String::new();
        for (family, samples) in self.0.values() {
            let kind = match family.kind {
                Kind::Counter => "counter",
                Kind::Gauge => "gauge",
            };
            let Family { name, help, .. } = family;
            // Writing to a string cannot fail.
            let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
            for Sample { labels, value } in samples {
                let _ = match labels.is_empty() {
                    true => writeln!(text, "{name} {value}"),
                    false => writeln!(text, "{name}{{{labels}}} {value}"),
                };
            }
        }
        text.push_str("# EOF\n");
        text
    }
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_is_openmetrics() {
        let calls = Family { name: "calls_total", help: "Calls.", kind: Kind::Counter };
        let up = Family { name: "up", help: "Whether it is up.", kind: Kind::Gauge };
        let mut metrics = Metrics::default();
        metrics.add(&up, &[], 1.0);
        metrics.add(&calls, &[("name", "a\"b\\c\n"), ("cpu", "0")], 0.25);
        let expected = "# HELP calls_total Calls.\n# TYPE calls_total counter\n\
                        calls_total{cpu=\"0\",name=\"a\\\"b\\\\c\\n\"} 0.25\n\
                        # HELP up Whether it is up.\n# TYPE up gauge\nup 1\n# EOF\n";
        assert_eq!(metrics.rendered(), expected);
    }
}
