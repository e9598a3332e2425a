//! What the hold costs: waking, waiting and being let go. One Reveille, one app that takes its time, and a crowd.
//!
//! | module | holds |
//! |---|---|
//! | [`wake`] | from the moment at which the app can answer to the moment at which a request reaches it |
//! | [`release`] | a thousand requests that waited for one wake |
//! | [`held`] | CPU time while ten thousand wait |
//! | [`memory`] | what one that waits takes up |
//! | [`probing`] | CPU time while many apps start at once |

pub(crate) mod held;
pub(crate) mod memory;
pub(crate) mod probing;
pub(crate) mod release;
pub(crate) mod wake;

use crate::{
    Wanted,
    admin::Admin,
    configs::app,
    crowd::{self, Crowd, Over},
    error::Result,
    ports,
    reveille::{How, Reveille},
    sleeper_server::{self, Gate, Start},
};

/// The app's name.
const APP: &str = "sleeper";
/// Streams on each connection of HTTP/2.
const STREAMS: usize = 100;
/// Files that Reveille needs for itself and its app, and the bench for itself.
const SPARE_FILES: usize = 500;
/// Room for every request that limits on files allow.
const ROOM: How = How {
    cores: "0",
    workers: 1,
    words: &["--hold-max-requests", "1000000", "--hold-max-bytes", "64Gi", "--drain", "1s"],
};
/// The same for the app, and time enough.
const APP_ROOM: &str = "wake: {deadline: 1h}, hold: {maxRequests: 500000, maxBytes: 16Gi}";

/// A Reveille with the app, asleep.
struct Rig {
    reveille: Reveille,
    port: u16,
}

impl Rig {
    /// `more` are further fields of the app.
    fn start(wanted: &Wanted, start: Start<'_>, more: &str, how: How) -> Result<Self> {
        let [port, upstream] = ports::free()?;
        let app = app(APP, &sleeper_server::command(upstream, start)?, port, upstream, more);
        Ok(Self { reveille: Reveille::start(wanted, "cold", &format!("apps:\n{app}"), how)?, port })
    }

    /// With room for all, and an app that listens when it is let.
    fn with_room(wanted: &Wanted, gate: &Gate) -> Result<Self> {
        Self::start(wanted, Start::WhenLet(gate), APP_ROOM, ROOM)
    }

    fn admin(&self) -> Admin {
        self.reveille.admin
    }

    /// Sends so many requests, and waits until they are held along with `others`.
    fn hold(&self, over: Over, count: usize, others: usize) -> Result<Crowd> {
        let crowd = Crowd::start(over, self.port, count);
        self.admin().wait_held(APP, others + count)?;
        Ok(crowd)
    }
}

/// How many connections can be had at most, up to a number.
fn connections(most: usize) -> Result<usize> {
    Ok(crowd::raise_open_files()?.saturating_sub(SPARE_FILES).min(most))
}

fn millis(from: u64, to: u64) -> f64 {
    (to as f64 - from as f64) / 1e3
}
