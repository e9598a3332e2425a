//! What the controller of a cluster is told on its command line.

use std::{net::SocketAddr, ops::RangeInclusive, path::PathBuf, time::Duration};

/// How the Scale API is served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiConfig {
    /// Where.
    pub listen: SocketAddr,
    /// The file of keys. None: everybody may call.
    pub keys: Option<PathBuf>,
    /// Hosts by which it may be called, besides those of its Service and of this machine.
    pub hosts: Vec<String>,
}

/// See the [module](self).
#[derive(Clone, Debug)]
pub struct Config {
    /// The namespace that Reveille itself runs in: its Lease, its ConfigMap and the activators are there.
    pub namespace: String,
    /// This process among its like: the name of its pod.
    pub identity: String,
    /// The Lease by which one of them leads.
    pub lease_name: String,
    /// Which pods of its namespace are the activators, as a label selector.
    pub activator_selector: String,
    /// The activators' control port.
    pub control_port: u16,
    /// The authority that the activators' certificate is checked by, PEM.
    pub control_ca: PathBuf,
    /// The token that is shown to them. Read again, as it is renewed.
    pub control_token: PathBuf,
    /// The ConfigMap that keeps which listener port is whose.
    pub ports_config_map: String,
    /// The listener ports to give away.
    pub port_range: RangeInclusive<u16>,
    /// How long nodes take to learn of changed endpoints.
    pub sleep_delay: Duration,
    /// Where `/metrics`, `/livez` and `/readyz` are served.
    pub admin: SocketAddr,
    /// How the Scale API is served, if it is.
    pub api: Option<ApiConfig>,
    /// The only namespaces that are looked at. None: all of them.
    pub watch_namespaces: Vec<String>,
}
