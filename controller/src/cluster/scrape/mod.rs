//! What the pods of an app count themselves, for traffic that does not pass the activators.
//!
//! | module | holds |
//! |---|---|
//! | `prometheus` | the text format of Prometheus |
//! | `nginx` | nginx's `stub_status` |
//! | `fetch` | the request for either |
//!
//! Values are compared as they were printed: the same program prints the same number in the same way, and a text is never
//! rounded.

mod fetch;
mod nginx;
mod prometheus;

use std::{collections::BTreeMap, net::SocketAddr};

use futures_util::future::join_all;
use reveille_core::resource::{Scrape, ScrapeFormat};

pub use self::fetch::HttpScraper;
use super::traits::{BoxFuture, Sleeper};

/// What one pod counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sample {
    /// Each series that only work moves, and its value, sorted.
    pub counters: Vec<(String, String)>,
    /// What says that work is in flight now, if anything does: a series and its value.
    pub busy: Option<String>,
    /// Whether `busy` would show every request in flight.
    pub shows_in_flight: bool,
}

/// Asks one pod.
pub trait Scraper: Send + Sync {
    /// Scrapes it.
    ///
    /// # Errors
    /// Why what it counts is not known.
    fn scrape<'a>(&'a self, at: SocketAddr, what: &'a Scrape) -> BoxFuture<'a, Result<Sample, String>>;
}

/// What each pod of an app counts, by the name of the pod.
pub(super) type Samples = BTreeMap<String, Result<Sample, String>>;

/// Scrapes every pod of an app.
///
/// # Errors
/// If which pods there are is not known, or there are none.
pub(super) async fn all(scraper: &dyn Scraper, app: &dyn Sleeper, what: &Scrape) -> Result<Samples, String> {
    let pods = app.pods().await.map_err(|why| format!("its pods cannot be listed: {why}"))?;
    if pods.is_empty() {
        return Err("it has no pod that could be scraped".to_owned());
    }
    let scrapes = pods.into_iter().map(|(name, at)| async move {
        let sample = scraper.scrape(at, what).await;
        let of_pod = |why| format!("pod {name}, http://{at}{}: {why}", what.path);
        (name.clone(), sample.map_err(of_pod))
    });
    Ok(join_all(scrapes).await.into_iter().collect())
}

/// Whether nothing but a scrape has moved a pod's counters between two scrapes that follow each other.
pub(super) fn stand_still(
    format: &ScrapeFormat,
    before: &[(String, String)],
    after: &[(String, String)],
) -> bool {
    match format {
        ScrapeFormat::Prometheus { .. } => before == after,
        ScrapeFormat::NginxStubStatus => nginx::stands_still(before, after),
    }
}

/// Reads an answer.
fn read(format: &ScrapeFormat, text: &str) -> Result<Sample, String> {
    match format {
        ScrapeFormat::Prometheus { metrics } => prometheus::read(text, metrics),
        ScrapeFormat::NginxStubStatus => nginx::read(text),
    }
}
