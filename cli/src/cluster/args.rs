//! The options of the commands that run in a cluster. Each can be set by a variable, too, as charts do.

use std::{
    net::{IpAddr, SocketAddr},
    path::PathBuf,
};

use clap::Args;
use ipnet::IpNet;
use reveille_core::quantity::{ByteSize, HumanDuration};

use crate::{
    args::{LogFormat, parse_workers},
    file::{parse_address, parse_network},
};

/// `reveille activator`
#[derive(Debug, Args)]
#[command(
    override_usage = "reveille activator [OPTIONS] --control-cert FILE --control-key FILE\n       --controller-user USER",
    after_help = "\
Examples:
  reveille activator --control-cert tls.crt --control-key tls.key \\
    --controller-user system:serviceaccount:reveille:reveille-controller

It is what the Helm chart runs; the cluster is that of its pod, else that of KUBECONFIG.
SIGTERM finishes what is in progress, as long as --drain; a second one ends at once."
)]
pub struct ActivatorArgs {
    /// The address to listen on for apps; the ports are those of their status
    #[arg(long, env = "REVEILLE_BIND_ADDRESS", value_name = "IP", default_value = "0.0.0.0")]
    pub bind_address: IpAddr,

    /// Where to serve the gateway, which routes by Host [default: nowhere]
    #[arg(long, env = "REVEILLE_GATEWAY", value_name = "ADDR", value_parser = parse_address)]
    pub gateway: Option<SocketAddr>,

    /// Where to serve /metrics, /livez and /readyz
    #[arg(long, env = "REVEILLE_ADMIN", value_name = "ADDR", default_value = "0.0.0.0:9090", value_parser = parse_address)]
    pub admin: SocketAddr,

    /// Where to serve the control port, for the controller
    #[arg(long, env = "REVEILLE_CONTROL", value_name = "ADDR", default_value = "0.0.0.0:9443", value_parser = parse_address)]
    pub control: SocketAddr,

    /// The control port's certificate, in PEM; read again when it changes
    #[arg(long, env = "REVEILLE_CONTROL_CERT", value_name = "FILE")]
    pub control_cert: PathBuf,

    /// The certificate's key, in PEM
    #[arg(long, env = "REVEILLE_CONTROL_KEY", value_name = "FILE")]
    pub control_key: PathBuf,

    /// Who may use the control port: system:serviceaccount:NAMESPACE:NAME
    #[arg(long, env = "REVEILLE_CONTROLLER_USER", value_name = "USER")]
    pub controller_user: String,

    /// A namespace whose apps it serves; again, or with commas, for more [default: all]
    #[arg(long, env = "REVEILLE_WATCH_NAMESPACE", value_name = "NAMESPACE", value_delimiter = ',')]
    pub watch_namespace: Vec<String>,

    /// How many requests all apps together may hold
    #[arg(long, env = "REVEILLE_HOLD_MAX_REQUESTS", value_name = "N", default_value_t = 50_000)]
    pub hold_max_requests: u32,

    /// How much memory held requests of all apps together may take
    #[arg(long, env = "REVEILLE_HOLD_MAX_BYTES", value_name = "SIZE", default_value = "512Mi")]
    pub hold_max_bytes: ByteSize,

    /// How many threads forward requests [default: one per core]
    #[arg(long, env = "REVEILLE_WORKERS", value_name = "N", value_parser = parse_workers)]
    pub workers: Option<u16>,

    /// How long work in progress may take to end after SIGTERM
    #[arg(long, env = "REVEILLE_DRAIN", value_name = "DURATION", default_value = "15m")]
    pub drain: HumanDuration,

    /// Peers whose forwarding headers are believed, such as 10.0.0.0/8 [default: none]
    #[arg(
        long,
        env = "REVEILLE_TRUSTED_PROXIES",
        value_name = "CIDR,…",
        value_delimiter = ',',
        value_parser = parse_network
    )]
    pub trusted_proxies: Vec<IpNet>,

    /// Log a line for each request, its time split into hold and upstream
    #[arg(long, env = "REVEILLE_ACCESS_LOG")]
    pub access_log: bool,

    /// How to log; auto is pretty on a terminal, JSON otherwise
    #[arg(long, env = "REVEILLE_LOG_FORMAT", value_enum, value_name = "FORMAT", default_value_t)]
    pub log_format: LogFormat,
}
