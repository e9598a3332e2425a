//! Taking over a changed file while serving: as a whole or not at all.

use std::{
    fs,
    net::SocketAddr,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::Duration,
};

use ipnet::IpNet;
use reveille_controller::local::Local;

use super::{memory, override_admin};
use crate::file::{self, Bind, LocalConfig, Problems};

/// How often the file is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// See the [module](self).
pub(super) struct Reloader {
    args: Overrides,
    running: Fixed,
    own: Own,
    seen: Option<Stamp>,
    interval: tokio::time::Interval,
}

/// What applies after a restart, as it runs.
#[derive(PartialEq)]
struct Fixed {
    admin: SocketAddr,
    gateway: Option<SocketAddr>,
    trusted_proxies: Vec<IpNet>,
}

/// Every address that was ever Reveille's own, by port: an app that is on its way out may still listen there.
struct Own(Vec<SocketAddr>);

/// What the command line says about the file.
struct Overrides {
    file: PathBuf,
    admin: Option<SocketAddr>,
}

/// Tells one state of a file from another, also when an editor replaces it.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Stamp {
    modified: (i64, i64),
    size: u64,
    inode: u64,
}

impl Fixed {
    fn of(config: &LocalConfig) -> Self {
        let trusted_proxies = config.trusted_proxies.clone();
        Self { admin: config.admin, gateway: config.gateway, trusted_proxies }
    }
}

impl Own {
    fn extend(&mut self, binds: &[Bind]) {
        self.0.extend(binds.iter().map(|bind| bind.address));
        self.0.sort_unstable_by_key(|address| (address.port(), *address));
        self.0.dedup();
        self.0.shrink_to_fit();
    }

    /// Whether Reveille listens there, or on another address of the same port.
    fn has(&self, address: SocketAddr) -> bool {
        let first = self.0.partition_point(|own| own.port() < address.port());
        let of_port = self.0[first..].iter().take_while(|own| own.port() == address.port());
        of_port.into_iter().any(|own| file::conflict(*own, address))
    }
}

impl Stamp {
    fn of(path: &Path) -> Option<Self> {
        let meta = fs::metadata(path).ok()?;
        Some(Self { modified: (meta.mtime(), meta.mtime_nsec()), size: meta.len(), inode: meta.ino() })
    }
}

impl Reloader {
    pub(super) fn new(file: &Path, admin: Option<SocketAddr>, running: &LocalConfig) -> Self {
        let mut interval = tokio::time::interval(LOOK_EVERY);
        interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut own = Own(Vec::new());
        own.extend(&running.binds);
        Self {
            seen: Stamp::of(file),
            args: Overrides { file: file.to_owned(), admin },
            own,
            running: Fixed::of(running),
            interval,
        }
    }

    /// Completes when the file has changed. One that is gone for the moment, as editors do it, has not.
    /// Cancel-safe.
    pub(super) async fn changed(&mut self) {
        loop {
            self.interval.tick().await;
            let now = Stamp::of(&self.args.file);
            if now.is_some() && now != self.seen {
                return;
            }
        }
    }

    /// Takes over the file, or says why not and changes nothing.
    pub(super) fn reload(&mut self, local: &Local) {
        self.take_over(local);
        memory::give_back();
    }

    fn take_over(&mut self, local: &Local) {
        // Before it is read: a change during the reading is seen again.
        self.seen = Stamp::of(&self.args.file);
        let config = match self.load() {
            Ok(config) => config,
            Err(problems) => {
                let file = self.args.file.display();
                for problem in problems.lines().lines() {
                    tracing::error!("{problem}");
                }
                tracing::error!(%file, "the file has mistakes; nothing was changed");
                return;
            }
        };
        if Fixed::of(&config) != self.running {
            tracing::warn!("admin, gateway and trustedProxies apply after a restart; all else applies now");
        }
        self.own.extend(&config.binds);
        let apps = config.apps.len();
        local.reload(config.apps);
        tracing::info!(file = %self.args.file.display(), apps, "reloaded");
    }

    /// The file, if it is right and every address that is new in it is free.
    fn load(&self) -> Result<LocalConfig, Problems> {
        let mut config = file::load(&self.args.file)?;
        override_admin(&mut config, self.args.admin);
        let all = config.binds.clone();
        // What Reveille itself listens on is not taken by somebody else.
        config.binds.retain(|bind| !self.own.has(bind.address));
        file::check_ports_free(&config)?;
        config.binds = all;
        Ok(config)
    }
}
