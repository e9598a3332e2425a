//! What subscribers are told, and what users see.

use reveille_core::{
    activity::Activity,
    policy::{Mode, PolicySpec},
    wake::{Failure, FailureKind, WakeId},
};

use super::*;

fn store() -> Store {
    Store::new(Metrics::register(&prometheus::Registry::new()).unwrap())
}

fn view(name: &str, phase: Phase) -> View {
    let entry = AppEntry {
        id: AppId::local(name),
        policy: Arc::new(PolicySpec::default().resolve(Mode::Local).unwrap()),
        ports: Arc::new([]),
        hosts: Arc::new(["web.localhost".into()]),
        phase,
        endpoints: Vec::new(),
        wake: WakeState::None,
        wake_on_request: true,
    };
    View {
        entry: Arc::new(entry),
        since: Moment::now(),
        version: 0,
        replicas: 0,
        wake: None,
        usual: None,
        pin: None,
        pending: None,
    }
}

fn told(changes: &mut mpsc::UnboundedReceiver<Change>) -> Vec<String> {
    std::iter::from_fn(|| changes.try_recv().ok())
        .map(|change| match change {
            Change::App(entry) => format!("{} {}", entry.id.name, entry.phase),
            Change::Gone(app) => format!("{} gone", app.name),
        })
        .collect()
}

#[tokio::test]
async fn a_subscriber_is_told_the_present_state_first_and_then_each_change_that_matters() {
    let store = store();
    store.publish(view("web", Phase::Asleep));
    store.publish(view("api", Phase::Asleep));
    let mut changes = store.subscribe();
    assert_eq!(told(&mut changes), ["api Asleep", "web Asleep"]);
    let mut unseen = view("web", Phase::Asleep);
    unseen.pending = Some("not the data plane's business".into());
    store.publish(unseen);
    store.publish(view("web", Phase::Waking));
    let watch = store.watch(&AppId::local("api")).unwrap();
    store.remove(&AppId::local("api"));
    store.remove(&AppId::local("api"));
    assert_eq!(told(&mut changes), ["web Waking", "api gone"]);
    assert!(watch.has_changed().is_err(), "its watchers are released");
    assert_eq!(store.views().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_status_adds_up_the_reports_and_counts_down_the_pause() {
    let now = crate::clock::now();
    let mut view = view("web", Phase::Asleep);
    let failure = Failure { kind: FailureKind::Deadline, reason: "late".into(), output: Vec::new() };
    let mut entry = (*view.entry).clone();
    entry.wake = WakeState::Failed {
        id: WakeId::new("web", 1),
        failure: Arc::new(failure),
        retry_at: now + Duration::from_millis(1500),
    };
    view.entry = Arc::new(entry);
    let said = |in_flight, held| Report::Said {
        at: now,
        activity: Activity { started: 9, in_flight, held, quiet: Duration::ZERO },
    };
    let status = view.status(now, vec![said(3, 1), Report::Silent, said(2, 2)]);
    assert_eq!(
        (status.in_flight, status.held, status.retry_in_ms, status.sleeps_in_ms),
        (5, 3, Some(1500), None)
    );
    assert_eq!((status.ttl.as_str(), status.hosts.len()), ("1m", 1));
    assert_eq!(view.status(now + Duration::from_secs(2), Vec::new()).retry_in_ms, None);
}
