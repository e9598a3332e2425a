//! Prometheus' text format, as far as tests ask for it.

use std::{collections::BTreeMap, iter::Peekable, str::Chars};

/// What a process counts.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Metrics(Vec<Sample>);

/// One line.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// Such as `reveille_requests_total`, with `_bucket` and the like.
    pub name: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its value.
    pub value: f64,
}

impl Metrics {
    /// Reads it.
    ///
    /// # Panics
    /// If a line is none of the format.
    pub fn parse(text: &str) -> Self {
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        let sample = |line| sample(line).unwrap_or_else(|| panic!("not a line of metrics: {line}"));
        Self(lines.map(sample).collect())
    }

    /// All samples of a name that have at least these labels.
    pub fn samples<'a>(
        &'a self,
        name: &'a str,
        labels: &'a [(&'a str, &'a str)],
    ) -> impl Iterator<Item = &'a Sample> {
        let has = |sample: &Sample, (label, value): &(&str, &str)| {
            sample.labels.get(*label).is_some_and(|found| found == value)
        };
        let matches =
            move |sample: &&Sample| sample.name == name && labels.iter().all(|label| has(sample, label));
        self.0.iter().filter(matches)
    }

    /// The sum of these samples: 0 where there are none, as what never happened may not be shown.
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        self.samples(name, labels).map(|sample| sample.value).sum()
    }
}

fn sample(line: &str) -> Option<Sample> {
    let end = line.find(['{', ' '])?;
    let (name, rest) = line.split_at(end);
    let mut rest = rest.chars().peekable();
    let labels = if rest.next_if_eq(&'{').is_some() { labels(&mut rest)? } else { BTreeMap::new() };
    let rest: String = rest.collect();
    // A time may follow.
    let value = rest.split_whitespace().next()?.parse().ok()?;
    Some(Sample { name: name.to_owned(), labels, value })
}

/// `a="b",c="d"}`
fn labels(rest: &mut Peekable<Chars<'_>>) -> Option<BTreeMap<String, String>> {
    let mut labels = BTreeMap::new();
    loop {
        while rest.next_if(|c| matches!(c, ',' | ' ')).is_some() {}
        if rest.next_if_eq(&'}').is_some() {
            return Some(labels);
        }
        let mut name = String::new();
        while let Some(c) = rest.next_if(|c| *c != '=') {
            name.push(c);
        }
        (rest.next()? == '=' && rest.next()? == '"').then_some(())?;
        labels.insert(name, quoted(rest)?);
    }
}

/// What is between quotes, up to the second.
fn quoted(rest: &mut Peekable<Chars<'_>>) -> Option<String> {
    let mut value = String::new();
    loop {
        match rest.next()? {
            '"' => return Some(value),
            '\\' => value.push(match rest.next()? {
                'n' => '\n',
                other => other,
            }),
            other => value.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_with_their_labels() {
        let text = "# HELP a_total All.\n# TYPE a_total counter\n\
                    a_total{app=\"web\",code=\"2xx\"} 3\na_total{app=\"web\",code=\"5xx\"} 1\n\
                    a_total{app=\"o,t}he\\\"r\\n\\\\\"} 2 1700000000000\nup 1\nb_bucket{le=\"+Inf\",} 7e0\nnone NaN\n";
        let metrics = Metrics::parse(text);
        assert_eq!(metrics.sum("a_total", &[("app", "web")]), 4.0);
        assert_eq!(metrics.sum("a_total", &[("app", "web"), ("code", "5xx")]), 1.0);
        assert_eq!(metrics.sum("a_total", &[("app", "o,t}he\"r\n\\")]), 2.0);
        assert_eq!(metrics.sum("b_bucket", &[("le", "+Inf")]), 7.0);
        assert_eq!(metrics.sum("up", &[]), 1.0);
        assert_eq!(metrics.sum("nowhere", &[]), 0.0);
        assert!(metrics.samples("none", &[]).all(|sample| sample.value.is_nan()));
    }

    #[test]
    #[should_panic(expected = "not a line of metrics")]
    fn what_is_none_is_refused() {
        Metrics::parse("a_total{app=\"web} 3");
    }
}
