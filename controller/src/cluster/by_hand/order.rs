//! What people ask of an app. Its worker carries it out, so that nothing of an app is done twice at a time.

use std::time::Duration;

use reveille_core::resource::{ScaledAppStatus, ScheduledWake};
use serde_json::{Value, json};
use tokio::sync::oneshot;

use crate::traits::Refusal;

/// What is asked, and where the answer goes. Whoever has given up waiting has closed that, and then it is not begun any more.
#[derive(Debug)]
pub(crate) struct Order {
    pub(crate) what: What,
    pub(crate) reply: oneshot::Sender<Result<(), Refusal>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum What {
    /// To wake it, or to change how many replicas it has.
    Wake {
        /// Who asked, and why.
        trigger: String,
        /// It is not put to sleep before so long. None leaves what an earlier call said of that.
        keep: Option<Duration>,
        /// How many replicas; what its spec and its past say, if that was left open.
        replicas: Option<u32>,
    },
    /// To put it to sleep.
    Sleep(Night),
}

/// A sleep by hand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Night {
    /// Whether the next request wakes it.
    pub(crate) wake_on_request: bool,
    /// When it is woken. None calls off what was to come.
    pub(crate) schedule: Option<ScheduledWake>,
}

/// What it adds to the announcements of an attempt. What must not be lost is in the first one already: whoever settles an
/// attempt whose controller is gone leaves it as it is.
impl Night {
    /// It falls asleep.
    pub(crate) fn begins(&self, patch: &mut Value) {
        if !self.wake_on_request {
            patch["wakeOnRequest"] = json!(false);
        }
        if let Some(schedule) = &self.schedule {
            patch["scheduledWake"] = json!(schedule);
        }
    }

    /// It is asleep.
    pub(crate) fn is_there(&self, patch: &mut Value) {
        patch["awakeUntil"] = Value::Null;
        patch["wakeOnRequest"] = if self.wake_on_request { Value::Null } else { json!(false) };
        patch["scheduledWake"] = json!(self.schedule);
    }

    /// It is awake as before.
    pub(crate) fn is_called_off(patch: &mut Value, before: &ScaledAppStatus) {
        patch["wakeOnRequest"] = Value::Null;
        patch["scheduledWake"] = json!(before.scheduled_wake);
    }
}
