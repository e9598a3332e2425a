//! The way out, one for every reason to stop.
//!
//! 1. **Lame duck**: not ready any more, but accepting; responses say `Connection: close`, so that clients
//!    move on by themselves. Closing idle connections right away would cut off requests that are on the wire.
//! 2. **Draining**: the listeners take what is in their queue and close; idle connections are closed; held
//!    requests wait for their app as ever.
//! 3. **Forced**: held requests are answered with 503, and what is left is closed.

use std::{sync::atomic::Ordering, time::Duration};

use tokio::time::Instant;

use crate::{
    server::Shared,
    worker::{Command, WorkerHandle},
};

/// How far the process is on its way out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Stage {
    /// Serves.
    Serving,
    /// Serves, and tells clients to go.
    LameDuck,
    /// Accepts nothing new.
    Draining,
    /// Ends what is left.
    Forced,
}

impl Stage {
    pub(crate) fn from_u8(stage: u8) -> Self {
        match stage {
            0 => Self::Serving,
            1 => Self::LameDuck,
            2 => Self::Draining,
            _ => Self::Forced,
        }
    }
}

/// How often the number of connections is looked at.
const LOOK: Duration = Duration::from_millis(10);
/// How long the answers to held requests may take to be written when forced.
const LAST_WORDS: Duration = Duration::from_millis(250);

/// See the [module](self).
pub(crate) async fn run(shared: &Shared, workers: &[WorkerHandle], force: impl Future<Output = ()>) {
    let config = shared.config.drain;
    let connected = || shared.connections.load(Ordering::Acquire);
    tracing::info!(connections = connected(), "draining: telling clients to go");
    shared.set_stage(Stage::LameDuck);
    let gentle = async {
        let accept_until = Instant::now() + config.accept_for;
        nobody_connected(shared, Instant::now() + config.lame_duck).await;
        tokio::time::sleep_until(accept_until).await;
        shared.set_stage(Stage::Draining);
        tell(workers, || Command::Drain);
        // The listeners' queues are taken over before anyone looks whether somebody is connected.
        for worker in workers {
            worker.caught_up().await;
        }
        nobody_connected(shared, Instant::now() + config.grace).await
    };
    tokio::select! {
        biased;
        () = force => tracing::warn!(connections = connected(), "told to stop at once"),
        all_gone = gentle => {
            if all_gone {
                return;
            }
            tracing::warn!(connections = connected(), "the time to drain is over");
        }
    }
    shared.set_stage(Stage::Forced);
    let apps: Vec<_> = shared.apps().values().cloned().collect();
    for app in apps {
        app.look_again();
    }
    nobody_connected(shared, Instant::now() + LAST_WORDS).await;
    tell(workers, || Command::CloseAll);
    nobody_connected(shared, Instant::now() + LAST_WORDS).await;
}

fn tell(workers: &[WorkerHandle], command: impl Fn() -> Command) {
    for worker in workers {
        worker.send(command());
    }
}

/// Waits until nobody is connected; false if that is not so by `until`.
async fn nobody_connected(shared: &Shared, until: Instant) -> bool {
    loop {
        if shared.connections.load(Ordering::Acquire) == 0 {
            return true;
        }
        if Instant::now() >= until {
            return false;
        }
        tokio::time::sleep(LOOK).await;
    }
}
