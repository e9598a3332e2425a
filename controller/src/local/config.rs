//! One app of local mode as it is configured, checked and complete. The command line makes these from the
//! file; nothing here can be wrong any more.

use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use reveille_core::{
    app::AppId,
    directory::{Protocol, UpstreamProtocol},
    policy::Policy,
};

/// One app of local mode.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalApp {
    /// Its name, in the namespace `local`.
    pub id: AppId,
    /// What is run.
    pub command: Command,
    /// Its ports, at least one.
    pub ports: Vec<LocalPort>,
    /// The hosts by which the gateway knows it, in lower case.
    pub hosts: Vec<String>,
    /// What else the user set.
    pub policy: Arc<Policy>,
}

/// What is run for an app: a change of it applies at the next wake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// Program and arguments, as written; no shell is between.
    pub argv: Vec<String>,
    /// The program's file, found when the configuration was read.
    pub program: PathBuf,
    /// Added to Reveille's own environment.
    pub env: BTreeMap<String, String>,
    /// Where it runs; absolute.
    pub working_dir: PathBuf,
    /// From SIGTERM to SIGKILL.
    pub stop_grace: Duration,
}

/// One port of an app.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalPort {
    /// Its name, if it has one: the process finds the number in `$PORT_<NAME>`.
    pub name: Option<String>,
    /// Where clients reach it.
    pub listen: SocketAddr,
    /// Where the process listens. If `None`, a free port of 127.0.0.1 is chosen and handed over in `$PORT`.
    pub upstream: Option<SocketAddr>,
    /// How clients speak to it.
    pub protocol: Protocol,
    /// How the process is spoken to.
    pub upstream_protocol: UpstreamProtocol,
}
