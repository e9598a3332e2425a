//! The Events by which people follow an app with `kubectl`.

use k8s_openapi::api::core::v1::ObjectReference;
use kube::{
    Client, Resource,
    runtime::events::{Event, EventType, Recorder, Reporter},
};
use reveille_core::{
    app::AppId,
    phase::Phase,
    resource::{ConditionType, Reason, ScaledApp, ScaledAppStatus, WakeResult, names},
};

use super::stores::Stores;

/// The longest note that the API takes, in bytes.
const MAX_NOTE: usize = 1024;

/// Something that happened to an app.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum News {
    WakeStarted,
    Awake,
    WakeFailed(String),
    FellAsleep,
    /// By an attempt whose controller went, for whatever reason that began it.
    FoundAsleep,
    SleepAborted(String),
    /// It was deleted while it slept.
    WokenToBeGivenBack,
    /// Something has to be mended: the reason and the words of the condition.
    NotReady {
        reason: String,
        message: String,
    },
}

impl News {
    fn event(&self) -> Event {
        let (type_, reason, action, note) = match self {
            Self::NotReady { reason, message } => {
                (EventType::Warning, reason.as_str(), "Check", message.clone())
            }
            Self::WakeStarted => (
                EventType::Normal,
                "WakeStarted",
                "Wake",
                "replicas are asked for; requests are held".to_owned(),
            ),
            // Without how long it took: the API server keeps the first note of those that are alike.
            Self::Awake => {
                let note = "it can answer; status.lastWake tells how long that took";
                (EventType::Normal, "Awake", "Wake", note.to_owned())
            }
            Self::WakeFailed(why) => (EventType::Warning, "WakeFailed", "Wake", why.clone()),
            Self::FellAsleep => {
                let note = "it was idle and has no replicas now; the next request wakes it";
                (EventType::Normal, "FellAsleep", "Sleep", note.to_owned())
            }
            Self::FoundAsleep => {
                let note = "an attempt to put it to sleep that another controller began was finished: it has no replicas now; the next request wakes it";
                (EventType::Normal, "FellAsleep", "Sleep", note.to_owned())
            }
            Self::WokenToBeGivenBack => {
                let note =
                    "it is deleted and slept: it goes once its replicas can answer, or after wake.deadline";
                (EventType::Normal, "WokenToBeGivenBack", "GiveBack", note.to_owned())
            }
            Self::SleepAborted(why) => {
                (EventType::Normal, "SleepAborted", "Sleep", format!("it stays awake: {why}"))
            }
        };
        Event {
            type_,
            reason: reason.to_owned(),
            note: Some(shortened(note)),
            action: action.to_owned(),
            secondary: None,
        }
    }
}

fn shortened(mut note: String) -> String {
    if note.len() > MAX_NOTE {
        let end = (0..=MAX_NOTE).rev().find(|end| note.is_char_boundary(*end)).unwrap_or_default();
        note.truncate(end);
    }
    note
}

/// What a changed status tells. Falling asleep is told by whoever does it.
pub(crate) fn news(before: &ScaledAppStatus, after: &ScaledAppStatus) -> Vec<News> {
    let mut news = Vec::new();
    let id =
        |wake: &Option<reveille_core::resource::WakeInProgress>| wake.as_ref().map(|wake| wake.id.clone());
    if after.wake.is_some() && id(&before.wake) != id(&after.wake) {
        news.push(News::WakeStarted);
    }
    news.extend(not_ready(before, after));
    let last = after.last_wake.as_ref().filter(|last| {
        before
            .last_wake
            .as_ref()
            .is_none_or(|before| (&before.id, before.outcome) != (&last.id, last.outcome))
    });
    match last.map(|last| (last.outcome, last)) {
        Some((WakeResult::Failed, last)) => {
            news.push(News::WakeFailed(last.why()));
        }
        Some((WakeResult::Ready, _)) => news.push(News::Awake),
        Some((WakeResult::Cancelled, _)) | None
            if became(before, after, Phase::Awake) && before.phase.is_some() =>
        {
            news.push(News::Awake);
        }
        Some((WakeResult::Cancelled, _)) | None => {}
    }
    news
}

/// A mistake that was not said before. That one is left alone is no mistake.
fn not_ready(before: &ScaledAppStatus, after: &ScaledAppStatus) -> Option<News> {
    let problem = |status: &ScaledAppStatus| {
        let mut all = status.conditions.iter();
        let found = all.find(|one| one.type_ == ConditionType::Ready.as_str() && one.status == "False")?;
        Some((found.reason.clone(), found.message.clone()))
    };
    let (reason, message) = problem(after)?;
    let is_known = problem(before).is_some_and(|(known, _)| known == reason);
    (!is_known && reason != Reason::Suspended.as_str()).then_some(News::NotReady { reason, message })
}

fn became(before: &ScaledAppStatus, after: &ScaledAppStatus, phase: Phase) -> bool {
    after.phase == Some(phase) && before.phase != after.phase
}

/// Writes Events. What happens by itself and again within a few minutes is counted, not repeated; what somebody does is not
/// like what somebody else did before, and is written each time.
#[derive(Clone)]
pub(crate) struct Reports {
    client: Client,
    reporter: Reporter,
    alike: Recorder,
}

impl Reports {
    pub(crate) fn new(client: Client, identity: &str) -> Self {
        let reporter =
            Reporter { controller: names::CONTROLLER.to_owned(), instance: Some(identity.to_owned()) };
        Self { alike: Recorder::new(client.clone(), reporter.clone()), client, reporter }
    }

    /// What somebody did to an app by hand.
    pub(crate) async fn app(&self, of: &AppId, stores: &Stores, reason: &str, note: String) {
        if let Some(app) = stores.app(of)
            && let Ok(app) = &app.0
        {
            self.by_hand(&app.object_ref(&()), reason, note).await;
        }
    }

    /// What somebody did to a Deployment by hand.
    pub(crate) async fn deployment(&self, of: &AppId, stores: &Stores, reason: &str, note: String) {
        let target = super::deployments::target(of);
        let Some(metadata) = stores.target(&of.namespace, &target) else { return };
        let reference = ObjectReference {
            api_version: Some(target.api_version),
            kind: Some(target.kind),
            name: metadata.name,
            namespace: metadata.namespace,
            uid: metadata.uid,
            ..ObjectReference::default()
        };
        self.by_hand(&reference, reason, note).await;
    }

    async fn by_hand(&self, of: &ObjectReference, reason: &str, note: String) {
        let event = Event {
            type_: EventType::Normal,
            reason: reason.to_owned(),
            note: Some(shortened(note)),
            action: "Scale".to_owned(),
            secondary: None,
        };
        // Of its own: one that is used again counts this as the one before, whose note stays.
        let recorder = Recorder::new(self.client.clone(), self.reporter.clone());
        if let Err(error) = recorder.publish(&event, of).await {
            tracing::warn!(name = of.name, reason, %error, "an Event could not be written");
        }
    }

    /// Best effort: nothing depends on an Event.
    pub(crate) async fn publish(&self, app: &ScaledApp, news: &News) {
        if let Err(error) = self.alike.publish(&news.event(), &app.object_ref(&())).await {
            tracing::warn!(app = %super::objects::id(&app.metadata), ?news, %error, "an Event could not be written");
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_mistake_is_told_once_until_it_is_another_one() {
        let status = |reason: &str, holds: &str| -> ScaledAppStatus {
            let ready = json!({"type": "Ready", "status": holds, "reason": reason, "message": "what to do",
                "lastTransitionTime": "2026-01-01T00:00:00Z"});
            serde_json::from_value(json!({"conditions": [ready]})).unwrap()
        };
        let good = status("AsDeclared", "True");
        let one = status("TargetNotFound", "False");
        let told = News::NotReady { reason: "TargetNotFound".into(), message: "what to do".into() };
        assert_eq!(news(&good, &one), std::slice::from_ref(&told));
        assert_eq!(news(&ScaledAppStatus::default(), &one), [told]);
        assert_eq!(news(&one, &one), []);
        assert_eq!(news(&one, &status("ServiceNotFound", "False")).len(), 1);
        assert_eq!((news(&one, &good), news(&good, &status("Suspended", "False"))), (vec![], vec![]));
    }

    #[test]
    fn each_wake_is_told_once_when_it_begins_and_when_it_ends() {
        let status = |json| -> ScaledAppStatus { serde_json::from_value(json).unwrap() };
        let time = "2026-01-01T00:00:00.000000Z";
        let asleep = status(json!({"phase": "Asleep"}));
        let waking =
            status(json!({"phase": "Waking", "wake": {"id": "a", "since": time, "step": "Requested"}}));
        let ended = |outcome: &str| {
            let last = json!({"id": "a", "startedAt": time, "took": "2s", "outcome": outcome, "reason": "NoNode", "message": "full"});
            status(json!({"phase": if outcome == "Ready" { "Awake" } else { "Waking" }, "lastWake": last}))
        };
        assert_eq!(news(&asleep, &waking), [News::WakeStarted]);
        assert_eq!(news(&waking, &waking), []);
        assert_eq!(news(&waking, &ended("Ready")), [News::Awake]);
        assert_eq!(news(&ended("Ready"), &ended("Ready")), []);
        assert_eq!(news(&waking, &ended("Failed")), [News::WakeFailed("NoNode: full".into())]);
        assert_eq!(news(&ended("Failed"), &asleep), []);
        assert_eq!(shortened("ä".repeat(600)).len(), 1024);
    }
}
