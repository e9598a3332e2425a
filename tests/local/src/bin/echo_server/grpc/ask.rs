//! What a call asks for by its metadata.

use std::time::Duration;

use http::HeaderMap;
use tonic::{Code, Status, metadata::MetadataMap};

/// What the metadata asks for.
pub(super) struct Ask {
    pub(super) delay: Duration,
    pub(super) messages: u64,
    pub(super) interval: Duration,
    pub(super) size: Option<usize>,
    pub(super) status: Option<Status>,
    pub(super) fail_after: Option<u64>,
    pub(super) never: bool,
    pub(super) head: MetadataMap,
    pub(super) trailers: MetadataMap,
}

impl Ask {
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let number = |name: &str| text(name).and_then(|value| value.parse::<u64>().ok());
        let millis = |name: &str| Duration::from_millis(number(name).unwrap_or(0));
        let with = |prefix: &str| {
            let asked = headers.iter().filter(|(name, _)| name.as_str().starts_with(prefix));
            let mut map = HeaderMap::new();
            asked.for_each(|(name, value)| _ = map.append(name, value.clone()));
            MetadataMap::from_headers(map)
        };
        let trailers = with("x-trail-");
        let metadata = MetadataMap::from_headers(headers.clone());
        let details = metadata.get_bin("echo-details-bin").and_then(|value| value.to_bytes().ok());
        let status = number("echo-code").map(|code| {
            let (code, message) = (Code::from(i32::try_from(code).unwrap_or(2)), text("echo-message"));
            let message = message.unwrap_or("as asked");
            Status::with_details_and_metadata(code, message, details.unwrap_or_default(), trailers.clone())
        });
        Self {
            delay: millis("echo-delay-ms"),
            messages: number("echo-messages").unwrap_or(1),
            interval: millis("echo-interval-ms"),
            size: number("echo-size").and_then(|size| usize::try_from(size).ok()),
            status,
            fail_after: number("echo-fail-after"),
            never: text("echo-never").is_some(),
            head: with("x-echo-"),
            trailers,
        }
    }
}
