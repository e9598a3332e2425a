//! Where activity is seen that does not pass Reveille: what the pods themselves count.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::rules;
use crate::policy::{self, PortRef};

const METRICS_PATH: &str = "/metrics";
const STUB_STATUS_PATH: &str = "/stub_status";

/// What is scraped from each pod: one of prometheus and nginx. The app is idle while nothing of it moves for idle.ttl. Sound
/// only where no request or stream outlasts the TTL without moving it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(transform = rules::scrape())]
pub struct ScrapeSpec {
    /// Metrics in the text format of Prometheus.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prometheus: Option<PrometheusScrapeSpec>,
    /// The status page of nginx (ngx_http_stub_status_module).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nginx: Option<NginxScrapeSpec>,
}

/// Metrics in the text format of Prometheus.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PrometheusScrapeSpec {
    /// The number of a port of the pods, or the name of a port of the Service.
    pub port: PortRef,
    /// The path that is asked for. Default: /metrics.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(transform = policy::rules::path())]
    pub path: Option<String>,
    /// Names of metrics, 1 to 32, all their labels added up. Counters are idle while they stand still, gauges while they are 0.
    #[schemars(transform = rules::metrics())]
    pub metrics: Vec<String>,
}

/// The status page of nginx.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NginxScrapeSpec {
    /// The number of a port of the pods, or the name of a port of the Service.
    pub port: PortRef,
    /// The path that is asked for. Default: /stub_status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(transform = policy::rules::path())]
    pub path: Option<String>,
}

/// What is scraped from each pod of an app, complete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scrape {
    /// Which port is asked: a number is that of the pods, a name that of a port of the Service.
    pub port: PortRef,
    /// The path, with a query if need be.
    pub path: String,
    /// What is answered, and what of it counts.
    pub format: ScrapeFormat,
}

/// What a scrape is answered with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ScrapeFormat {
    /// The text format of Prometheus.
    Prometheus {
        /// The metrics that count, at least one: counters must stand still, gauges must be 0.
        metrics: Arc<[String]>,
    },
    /// nginx's `stub_status`: requests must stand still but for the scrapes themselves, and none may be read or written.
    NginxStubStatus,
}

impl PrometheusScrapeSpec {
    pub(super) fn complete(&self) -> Scrape {
        Scrape {
            port: self.port.clone(),
            path: self.path.as_deref().unwrap_or(METRICS_PATH).to_owned(),
            format: ScrapeFormat::Prometheus { metrics: self.metrics.as_slice().into() },
        }
    }
}

impl NginxScrapeSpec {
    pub(super) fn complete(&self) -> Scrape {
        Scrape {
            port: self.port.clone(),
            path: self.path.as_deref().unwrap_or(STUB_STATUS_PATH).to_owned(),
            format: ScrapeFormat::NginxStubStatus,
        }
    }
}
