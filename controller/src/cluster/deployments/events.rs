//! Who did what to an app or a Deployment by the API, as Events: people look for that with `kubectl describe`.

use std::sync::Arc;

use crate::{
    api::{Changed, Witnesses},
    cluster::by_hand::Board,
};

/// Writes an Event for each change that was made by the API.
pub struct Witness(Arc<Board>);

impl Witness {
    /// On what the board's leader looks after.
    pub fn new(board: Arc<Board>) -> Self {
        Self(board)
    }
}

impl Witnesses for Witness {
    fn changed(&self, changed: Changed) {
        let Some(world) = self.0.world() else { return };
        // Best effort, and whoever called does not wait for it.
        tokio::spawn(async move {
            let Changed { who, action, of, reason } = changed;
            let reason = if reason.is_empty() { String::new() } else { format!(": {reason}") };
            let (event, note) = match action {
                "wake" => ("WokenByHand", format!("woken by {who}{reason}")),
                "sleep" => ("PutToSleepByHand", format!("put to sleep by {who}{reason}")),
                "scale-to-zero" => ("ScaledToZero", format!("scaled to zero by {who}{reason}")),
                _ => ("ScaledUp", format!("scaled up by {who}{reason}")),
            };
            if matches!(action, "wake" | "sleep") {
                world.reports.app(&of, &world.stores, event, note).await;
            } else {
                world.reports.deployment(&of, &world.stores, event, note).await;
            }
        });
    }
}
