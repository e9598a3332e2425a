//! nginx's `stub_status`:
//!
//! ```text
//! Active connections: 2
//! server accepts handled requests
//!  16 16 31
//! Reading: 0 Writing: 1 Waiting: 1
//! ```
//!
//! A scrape is a request, too: it is one of `requests`, and one of those that are being written. Connections say nothing, as
//! a client may keep one that it does not use. So may the kubelet not probe over HTTP what `requests` counts.
//! Source: nginx, `ngx_http_stub_status_module`.

use super::Sample;

const REQUESTS: &str = "requests";

pub(super) fn read(text: &str) -> Result<Sample, String> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let after = |label: &str, nth: usize| -> Result<u64, String> {
        let at = words.iter().position(|word| *word == label);
        let value = at.and_then(|at| words.get(at + nth));
        let value = value.and_then(|value| value.parse().ok());
        value.ok_or_else(|| format!("this is no page of stub_status: {label:?} is missing"))
    };
    // The three numbers follow their three headings.
    let requests = after(REQUESTS, 3)?;
    let (reading, writing) = (after("Reading:", 1)?, after("Writing:", 1)?.saturating_sub(1));
    let busy =
        (reading + writing > 0).then(|| format!("{reading} requests are read and {writing} are answered"));
    Ok(Sample { counters: vec![(REQUESTS.to_owned(), requests.to_string())], busy, shows_in_flight: true })
}

/// One more is the scrape itself.
pub(super) fn stands_still(before: &[(String, String)], after: &[(String, String)]) -> bool {
    let requests =
        |counters: &[(String, String)]| counters.first().and_then(|(_, value)| value.parse::<u64>().ok());
    match (requests(before), requests(after)) {
        (Some(before), Some(after)) => before.checked_add(1) == Some(after),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(requests: u64, reading: u64, writing: u64) -> String {
        format!(
            "Active connections: 9 \nserver accepts handled requests\n 16 16 {requests} \nReading: {reading} Writing: {writing} Waiting: 7 \n"
        )
    }

    #[test]
    fn a_scrape_is_not_taken_for_activity() {
        let (first, second) = (read(&page(31, 0, 1)).unwrap(), read(&page(32, 0, 1)).unwrap());
        assert_eq!(first.busy, None);
        assert!(first.shows_in_flight);
        assert!(stands_still(&first.counters, &second.counters));
        assert!(
            !stands_still(&first.counters, &first.counters),
            "it began anew, or somebody else was answered"
        );
        assert!(!stands_still(&first.counters, &read(&page(33, 0, 1)).unwrap().counters));
        assert!(read(&page(32, 0, 2)).unwrap().busy.is_some());
        assert!(read(&page(32, 1, 1)).unwrap().busy.is_some());
    }

    #[test]
    fn what_is_no_such_page_is_said() {
        for text in ["", "<html>404</html>", "Reading: x Writing: 1", "server accepts handled requests\n 1 2"]
        {
            assert!(read(text).unwrap_err().contains("stub_status"), "{text}");
        }
    }
}
