//! Taking over a changed file while serving: as a whole or not at all.

use std::{
    fs,
    net::SocketAddr,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::Duration,
};

use reveille_controller::local::Local;

use super::override_admin;
use crate::{
    args::LocalArgs,
    file::{self, Bind, LocalConfig, Problems},
};

/// How often the file is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// See the [module](self).
pub(super) struct Reloader {
    args: Overrides,
    running: LocalConfig,
    /// Every address that was ever Reveille's own: an app that is on its way out may still listen there.
    own: Vec<SocketAddr>,
    seen: Option<Stamp>,
    interval: tokio::time::Interval,
}

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

impl Stamp {
    fn of(path: &Path) -> Option<Self> {
        let meta = fs::metadata(path).ok()?;
        Some(Self { modified: (meta.mtime(), meta.mtime_nsec()), size: meta.len(), inode: meta.ino() })
    }
}

impl Reloader {
    pub(super) fn new(args: &LocalArgs, running: LocalConfig) -> Self {
        let mut interval = tokio::time::interval(LOOK_EVERY);
        interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        Self {
            seen: Stamp::of(&args.file),
            args: Overrides { file: args.file.clone(), admin: args.admin },
            own: running.binds.iter().map(|bind| bind.address).collect(),
            running,
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
        if (config.admin, config.gateway, &config.trusted_proxies)
            != (self.running.admin, self.running.gateway, &self.running.trusted_proxies)
        {
            tracing::warn!("admin, gateway and trustedProxies apply after a restart; all else applies now");
        }
        self.own.extend(config.binds.iter().map(|bind| bind.address));
        self.own.sort_unstable();
        self.own.dedup();
        local.reload(config.apps.clone());
        tracing::info!(file = %self.args.file.display(), apps = config.apps.len(), "reloaded");
        // What applies after a restart is compared, and bound, as it runs.
        let running = &self.running;
        let of_apps = |bind: &Bind| bind.field.starts_with("apps");
        let fixed = running.binds.iter().filter(|bind| !of_apps(bind)).cloned();
        let binds = fixed.chain(config.binds.iter().filter(|bind| of_apps(bind)).cloned()).collect();
        self.running = LocalConfig {
            admin: running.admin,
            gateway: running.gateway,
            trusted_proxies: running.trusted_proxies.clone(),
            binds,
            ..config
        };
    }

    /// The file, if it is right and every address that is new in it is free.
    fn load(&self) -> Result<LocalConfig, Problems> {
        let mut config = file::load(&self.args.file)?;
        override_admin(&mut config, self.args.admin);
        let mut new = config.clone();
        // What Reveille itself listens on, or on another address of the same port, is not taken by somebody else.
        new.binds.retain(|bind| !self.own.iter().any(|own| file::conflict(*own, bind.address)));
        file::check_ports_free(&new)?;
        Ok(config)
    }
}
