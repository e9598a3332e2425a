//! The text format of Prometheus, as far as named metrics need it. OpenMetrics reads the same.
//!
//! A metric is a gauge if its TYPE says so. Without a TYPE, or with another one, it is a counter: a gauge that is taken for a
//! counter keeps an app awake while it moves, a counter that is taken for a gauge would for ever. A name of a histogram or a
//! summary means its `_count`, and a name of an OpenMetrics counter its `_total`. A metric of which there is a TYPE and no
//! sample counts nothing yet; one of which there is neither is missing, and then nothing is known.

use std::collections::HashMap;

use super::Sample;

/// What the names of gauges have in them that show every request in flight. Others may show those in a queue only, such as
/// Triton's `nv_inference_pending_request_count`.
const IN_FLIGHT: [&str; 5] = ["in_flight", "inflight", "in_progress", "active_requests", "requests_active"];

/// One line with a value.
struct Line<'a> {
    name: &'a str,
    /// The name with its labels, as written.
    series: &'a str,
    value: &'a str,
}

pub(super) fn read(text: &str, metrics: &[String]) -> Result<Sample, String> {
    let mut types: HashMap<&str, &str> = HashMap::new();
    let mut lines: Vec<Line<'_>> = Vec::new();
    for line in text.lines().map(str::trim) {
        if let Some(comment) = line.strip_prefix('#') {
            let mut words = comment.split_whitespace();
            if let (Some("TYPE"), Some(name), Some(kind)) = (words.next(), words.next(), words.next()) {
                types.insert(name, kind);
            }
        } else if let Some(line) = split(line) {
            lines.push(line);
        }
    }
    let mut sample = Sample::default();
    for metric in metrics {
        let kind = types.get(metric.as_str()).copied();
        let suffix = match kind {
            Some("histogram" | "summary") => "_count",
            Some("counter") if !lines.iter().any(|line| line.name == metric) => "_total",
            _ => "",
        };
        let found: Vec<&Line<'_>> =
            lines.iter().filter(|line| line.name.strip_suffix(suffix) == Some(metric)).collect();
        if found.is_empty() && kind.is_none() {
            return Err(format!("it counts no {metric}: check idle.scrape.prometheus.metrics"));
        }
        if kind == Some("gauge") || kind == Some("gaugehistogram") {
            sample.shows_in_flight |= IN_FLIGHT.iter().any(|word| metric.contains(word));
            for line in found {
                // What is no number is not 0 either.
                if line.value.parse::<f64>() != Ok(0.0) && sample.busy.is_none() {
                    sample.busy = Some(format!("{} is {}", line.series, line.value));
                }
            }
        } else {
            let counted = found.iter().map(|line| (line.series.to_owned(), line.value.to_owned()));
            sample.counters.extend(counted);
        }
    }
    sample.counters.sort_unstable();
    Ok(sample)
}

/// Splits `name{labels} value timestamp`; what is no such line is passed over.
fn split(line: &str) -> Option<Line<'_>> {
    let name_end = line.find(|c: char| c == '{' || c.is_whitespace())?;
    let series_end =
        if line[name_end..].starts_with('{') { name_end + labels_end(&line[name_end..])? } else { name_end };
    let value = line[series_end..].split_whitespace().next()?;
    Some(Line { name: &line[..name_end], series: &line[..series_end], value })
}

/// Where labels end that begin with a brace: a value in quotes may hold anything.
fn labels_end(text: &str) -> Option<usize> {
    let (mut quoted, mut escaped) = (false, false);
    for (i, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            '}' if !quoted => return Some(i + 1),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PAGE: &str = r#"
# HELP nv_inference_request_success Number of successful inference requests
# TYPE nv_inference_request_success counter
nv_inference_request_success{model="b",version="1"} 17
nv_inference_request_success{model="a \" } {",version="1"} 2 1395066363000
# TYPE nv_inference_pending_request_count gauge
nv_inference_pending_request_count{model="a"} 0
# TYPE http_requests_in_flight gauge
http_requests_in_flight 0
# TYPE took_seconds histogram
took_seconds_bucket{le="+Inf"} 5
took_seconds_count 5
took_seconds_sum 1.5
# TYPE calls counter
calls_total 8 # {trace_id="x"} 1
# TYPE none_yet counter
untyped_thing 3
broken{label="
"#;

    fn of(metrics: &[&str]) -> Result<Sample, String> {
        read(PAGE, &metrics.iter().map(|&metric| metric.to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn counters_are_kept_with_their_labels_as_text() {
        let sample = of(&["nv_inference_request_success"]).unwrap();
        let want = [
            (r#"nv_inference_request_success{model="a \" } {",version="1"}"#.to_owned(), "2".to_owned()),
            (r#"nv_inference_request_success{model="b",version="1"}"#.to_owned(), "17".to_owned()),
        ];
        assert_eq!(sample.counters, want);
        assert_eq!((sample.busy, sample.shows_in_flight), (None, false));
    }

    #[test]
    fn a_gauge_is_idle_at_0_and_some_show_what_is_in_flight() {
        let pending = of(&["nv_inference_pending_request_count"]).unwrap();
        assert_eq!(pending, Sample::default());
        assert!(of(&["http_requests_in_flight"]).unwrap().shows_in_flight);
        for (value, is_busy) in
            [("0.0", false), ("0e0", false), ("-0", false), ("2", true), ("NaN", true), ("?", true)]
        {
            let page = format!("# TYPE g gauge\ng {value}\n");
            assert_eq!(read(&page, &["g".into()]).unwrap().busy.is_some(), is_busy, "{value}");
        }
    }

    #[test]
    fn families_stand_for_their_count_and_a_name_alone_for_a_counter() {
        let counters = |metric| of(&[metric]).unwrap().counters;
        assert_eq!(counters("took_seconds"), [("took_seconds_count".to_owned(), "5".to_owned())]);
        assert_eq!(counters("took_seconds_sum"), [("took_seconds_sum".to_owned(), "1.5".to_owned())]);
        assert_eq!(counters("calls"), [("calls_total".to_owned(), "8".to_owned())]);
        assert_eq!(counters("calls_total"), [("calls_total".to_owned(), "8".to_owned())]);
        assert_eq!(counters("untyped_thing"), [("untyped_thing".to_owned(), "3".to_owned())]);
        assert_eq!(counters("none_yet"), []);
    }

    #[test]
    fn what_is_missing_is_said() {
        assert!(of(&["calls", "nv_inference_count"]).unwrap_err().contains("nv_inference_count"));
        assert!(read("<html>", &["x".into()]).is_err());
    }

    proptest! {
        #[test]
        fn no_text_breaks_it(text in "[a-z{}\"\\\\ #TYPE0-9=,é\n]{0,200}") {
            let _ = read(&text, &["a".into(), "b".into()]);
        }
    }
}
