//! The activators as they are all the time: a watch of their pods, and a long poll of each one's control port.

use std::{
    collections::{BTreeSet, HashMap},
    convert::Infallible,
    pin::pin,
    sync::Arc,
    time::Duration,
};

use futures_util::{StreamExt as _, stream};
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api, Client,
    runtime::{WatchStreamExt as _, watcher},
};
use reveille_core::control::PortsReport;
use tokio::{
    sync::{mpsc, watch},
    task::{AbortHandle, JoinSet},
    time::Instant,
};

use super::{Control, Member, pods::PodFacts, roster::Roster};
use crate::cluster::{
    jitter::jittered,
    traits::{ActivatorPod, Activators, BoxFuture},
};

/// How long an activator may not answer before it is called silent.
const SILENT_AFTER: Duration = Duration::from_secs(5);
/// The first pause after a poll that failed; it doubles up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// How many polls' results may wait to be taken.
const RESULTS: usize = 64;

/// The [`Activators`] of a cluster.
pub struct KubeActivators {
    seen: watch::Receiver<Arc<[ActivatorPod]>>,
}

impl KubeActivators {
    /// The activators are the pods of that namespace that match the selector. The second part is what keeps the first up to
    /// date: it runs until it is dropped.
    pub fn new(
        client: Client,
        namespace: &str,
        selector: &str,
        control: Arc<Control>,
    ) -> (Self, BoxFuture<'static, Infallible>) {
        let (show, seen) = watch::channel(Arc::default());
        let pods = Api::namespaced(client, namespace);
        let which = watcher::Config::default().labels(selector);
        (Self { seen }, Box::pin(follow(pods, which, control, show)))
    }
}

impl Activators for KubeActivators {
    fn watch(&self) -> watch::Receiver<Arc<[ActivatorPod]>> {
        self.seen.clone()
    }
}

/// What a poll brought, of which pod.
struct Polled {
    name: String,
    uid: String,
    said: Result<PortsReport, String>,
}

async fn follow(
    pods: Api<Pod>,
    which: watcher::Config,
    control: Arc<Control>,
    show: watch::Sender<Arc<[ActivatorPod]>>,
) -> Infallible {
    // A watch never ends; if it did, the polls would still have to be heard.
    let mut events = pin!(watcher(pods, which).default_backoff().chain(stream::pending()));
    let mut roster = Roster::default();
    // The pods of a list that is not whole yet.
    let mut listing = BTreeSet::new();
    let mut is_whole = false;
    let (tell, mut told) = mpsc::channel(RESULTS);
    let mut polls = Polls { control, tell, tasks: JoinSet::new(), of: HashMap::new() };
    loop {
        tokio::select! {
            Some(event) = events.next() => match event {
                Ok(watcher::Event::Init) => listing.clear(),
                Ok(watcher::Event::InitApply(pod)) => {
                    if let Some(facts) = PodFacts::of(&pod) {
                        listing.insert(facts.name.clone());
                        roster.apply(facts);
                    }
                }
                Ok(watcher::Event::InitDone) => {
                    roster.keep(&listing);
                    is_whole = true;
                }
                Ok(watcher::Event::Apply(pod)) => match PodFacts::of(&pod) {
                    Some(facts) => roster.apply(facts),
                    None => roster.remove(pod.metadata.name.as_deref().unwrap_or_default()),
                },
                Ok(watcher::Event::Delete(pod)) => {
                    roster.remove(pod.metadata.name.as_deref().unwrap_or_default());
                }
                Err(error) => tracing::warn!(%error, "the activators' pods cannot be watched"),
            },
            Some(Polled { name, uid, said }) = told.recv() => match said {
                Ok(report) => roster.answered(&name, &uid, report),
                Err(why) => roster.silent(&name, &uid, why),
            },
            Some(ended) = polls.tasks.join_next() => {
                if let Err(error) = ended && error.is_panic() {
                    tracing::error!(%error, "a poll of an activator has failed");
                }
            }
        }
        polls.follow(&roster);
        if is_whole {
            let view = roster.view();
            show.send_if_modified(|shown| {
                let is_news = *shown != view;
                *shown = view;
                is_news
            });
        }
    }
}

/// One task for each pod that has an address.
struct Polls {
    control: Arc<Control>,
    tell: mpsc::Sender<Polled>,
    tasks: JoinSet<()>,
    /// By the pod's unique id.
    of: HashMap<String, (Member, AbortHandle)>,
}

impl Polls {
    fn follow(&mut self, roster: &Roster) {
        self.of.retain(|uid, (member, task)| {
            let stays = roster.facts().any(|facts| facts.uid == *uid && facts.member() == *member);
            if !stays {
                task.abort();
            }
            stays
        });
        for facts in roster.facts().filter(|facts| !facts.addresses.is_empty()) {
            if !self.of.contains_key(&facts.uid) {
                let (member, uid) = (facts.member(), facts.uid.clone());
                let (control, tell) = (Arc::clone(&self.control), self.tell.clone());
                let task = self.tasks.spawn(poll(control, member.clone(), uid.clone(), tell));
                self.of.insert(uid, (member, task));
            }
        }
    }
}

/// Asks one activator where it listens, for ever.
async fn poll(control: Arc<Control>, member: Member, uid: String, tell: mpsc::Sender<Polled>) {
    let mut after = None;
    let mut quiet_since = Instant::now();
    let mut pause = FIRST_PAUSE;
    loop {
        let asked = Instant::now();
        let wait;
        let said = match control.ports(&member, after).await {
            Ok(report) => {
                // Whoever answers at once though nothing has changed is not asked any faster for that.
                let is_hurried = after == Some(report.revision) && asked.elapsed() < FIRST_PAUSE;
                wait = is_hurried.then_some(FIRST_PAUSE);
                after = Some(report.revision);
                (quiet_since, pause) = (Instant::now(), FIRST_PAUSE);
                Some(Ok(report))
            }
            Err(error) => {
                // It may be another run by now, whose revisions begin anew.
                after = None;
                wait = Some(jittered(pause));
                pause = (pause * 2).min(LONGEST_PAUSE);
                let is_silent = quiet_since.elapsed() >= SILENT_AFTER || asked.elapsed() >= SILENT_AFTER;
                is_silent.then(|| Err(error.to_string()))
            }
        };
        if let Some(said) = said {
            let (name, uid) = (member.name.clone(), uid.clone());
            if tell.send(Polled { name, uid, said }).await.is_err() {
                return;
            }
        }
        if let Some(wait) = wait {
            tokio::time::sleep(wait).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use kube::client::Body;
    use reveille_core::{app::AppId, control::AppPort};
    use serde_json::json;

    use super::*;
    use crate::cluster::{
        fleet::control::tests::{Files, activator},
        traits::Standing,
    };

    /// An API server with one list of pods, after which nothing changes.
    fn pods(address: &str) -> Client {
        let pod = json!({
            "metadata": {"name": "a-1", "uid": "u", "resourceVersion": "1"},
            "spec": {"containers": []},
            "status": {
                "phase": "Running", "podIP": address, "conditions": [{"type": "Ready", "status": "True"}],
            },
        });
        let list = json!({"kind": "PodList", "apiVersion": "v1", "metadata": {"resourceVersion": "1"}, "items": [pod]});
        let service = tower::service_fn(move |request: http::Request<Body>| {
            let list = list.to_string();
            async move {
                let uri = request.uri().to_string();
                assert!(uri.contains("labelSelector=app%3Dactivator"), "{uri}");
                if uri.contains("watch=true") {
                    return std::future::pending().await;
                }
                Ok::<_, Infallible>(http::Response::new(Body::from(list.into_bytes())))
            }
        });
        Client::new(service, "reveille")
    }

    async fn standing(address: &str, control: Control, until: impl Fn(&Standing) -> bool) -> ActivatorPod {
        let (activators, run) =
            KubeActivators::new(pods(address), "reveille", "app=activator", Arc::new(control));
        let mut seen = activators.watch();
        let wait = seen.wait_for(|seen| seen.first().is_some_and(|one| until(&one.standing)));
        tokio::select! {
            seen = wait => seen.unwrap()[0].clone(),
            never = run => match never {},
        }
    }

    #[tokio::test]
    async fn a_pod_that_answers_is_ready_with_its_ports() {
        let files = Files::new();
        let open = vec![AppPort { app: AppId::new("team", "web"), port: 20_001 }];
        let report =
            PortsReport { boot: "b".into(), revision: 1, draining: false, open, refused: Vec::new() };
        let answers = activator(Some((200, serde_json::to_string(&report).unwrap()))).await;
        let control = Control::new(files.credentials(), answers.port);
        let one = standing("127.0.0.1", control, |standing| *standing != Standing::Starting).await;
        assert_eq!((one.standing, one.open.len()), (Standing::Ready, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn a_pod_that_does_not_answer_is_silent_after_5_s() {
        let files = Files::new();
        std::fs::remove_dir_all(files.folder()).unwrap();
        let begin = Instant::now();
        let control = Control::new(files.credentials(), 1);
        let one = standing("127.0.0.1", control, |standing| *standing != Standing::Starting).await;
        assert!(matches!(&one.standing, Standing::Silent(why) if why.contains("a-1")), "{one:?}");
        assert!(begin.elapsed() >= SILENT_AFTER && begin.elapsed() < SILENT_AFTER + LONGEST_PAUSE);
    }
}
