//! What people who watch are told: each change of an app as its supervisor publishes it, and the counts of requests,
//! which nobody publishes, as often as a person could follow them.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use tokio::{sync::mpsc, time::MissedTickBehavior};

use super::Local;
use crate::store::Seen;

/// How often requests are counted while somebody watches.
const COUNT_EVERY: Duration = Duration::from_millis(500);

/// Tells the feed, until the table of apps is gone.
pub(super) async fn run(local: Arc<Local>) {
    let mut seen = local.table.shared.store.follow();
    let mut ticks = tokio::time::interval(COUNT_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            one = seen.recv() => match one {
                Some(one) => note(&local, one).await,
                None => return,
            },
            _ = ticks.tick() => if local.feed.is_read() {
                count(&local, &mut seen).await;
            },
        }
    }
}

async fn note(local: &Local, seen: Seen) {
    match seen {
        Seen::App(view) => {
            let status = local.status_of(view).await;
            local.feed.note(Timestamp::now(), status);
        }
        Seen::Gone(app) => local.feed.gone(Timestamp::now(), &app),
    }
}

async fn count(local: &Local, seen: &mut mpsc::UnboundedReceiver<Seen>) {
    for view in local.table.shared.store.views() {
        // What was published before this view must not be told after it.
        while let Ok(one) = seen.try_recv() {
            note(local, one).await;
        }
        // Not the one of the list: others may have been published during the awaits.
        if let Some(view) = local.table.shared.store.view(&view.entry.id) {
            note(local, Seen::App(view)).await;
        }
    }
}
