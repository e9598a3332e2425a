//! How an activator is set up, apart from its apps.

use std::{net::SocketAddr, num::NonZeroUsize, time::Duration};

use ipnet::IpNet;

/// How an activator is set up. [`Default`] is what the command line documents.
#[derive(Clone, Debug)]
pub struct Config {
    /// Worker threads. Default: one per core that the process may use.
    pub workers: NonZeroUsize,
    /// The shared port that routes by Host. Default: none.
    pub gateway: Option<SocketAddr>,
    /// Peers whose forwarding headers are believed and continued; those of all others are replaced.
    pub trusted_proxies: Vec<IpNet>,
    /// Bounds on what is held for all apps together.
    pub hold: HoldLimits,
    /// Timers towards clients.
    pub client: ClientTimeouts,
    /// How the process ends.
    pub drain: Drain,
    /// Log one line for each request.
    pub access_log: bool,
}

/// Bounds on what is held for all apps together. No app may take more than half of what is left.
#[derive(Clone, Copy, Debug)]
pub struct HoldLimits {
    /// Requests. Default: 50,000.
    pub max_requests: u64,
    /// Bytes. Default: 512 MiB.
    pub max_bytes: u64,
}

/// Timers towards clients, each accurate to half a second.
#[derive(Clone, Copy, Debug)]
pub struct ClientTimeouts {
    /// From accept to the first byte. Default: 60 s.
    pub first_byte: Duration,
    /// From the first byte of a request's head to its last. Default: 10 s.
    pub head: Duration,
    /// Between two requests of one connection. Default: 10 min.
    pub keep_alive: Duration,
}

/// How the process ends.
#[derive(Clone, Copy, Debug)]
pub struct Drain {
    /// Go on accepting for so long while telling clients to go, if any is connected. Default: 500 ms.
    pub lame_duck: Duration,
    /// Go on accepting for so long at least, whether anybody is connected or not: until nobody is led here any more.
    /// Default: 0.
    pub accept_for: Duration,
    /// Wait so long at most for held and in-flight work. Default: 30 s.
    pub grace: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            workers: std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN),
            gateway: None,
            trusted_proxies: Vec::new(),
            hold: HoldLimits::default(),
            client: ClientTimeouts::default(),
            drain: Drain::default(),
            access_log: false,
        }
    }
}

impl Default for HoldLimits {
    fn default() -> Self {
        Self { max_requests: 50_000, max_bytes: 512 << 20 }
    }
}

impl Default for ClientTimeouts {
    fn default() -> Self {
        Self {
            first_byte: Duration::from_secs(60),
            head: Duration::from_secs(10),
            keep_alive: Duration::from_secs(600),
        }
    }
}

impl Default for Drain {
    fn default() -> Self {
        Self {
            lame_duck: Duration::from_millis(500),
            accept_for: Duration::ZERO,
            grace: Duration::from_secs(30),
        }
    }
}
