//! The Scale API in a cluster, by its Service and with keys: Deployments with a `ScaledApp` and without.

use std::time::{Duration, Instant, SystemTime};

use k8s_openapi::{
    api::{apps::v1::Deployment, core::v1::Secret},
    jiff::Timestamp,
};
use kube::{
    Api,
    api::{DeleteParams, Patch, PatchParams},
};
use reveille_tests_cluster::{
    Context, Plan, ScaledApp,
    process::{Daemon, command, run},
    product,
    reveille::NAMESPACE,
    scale_api::{ADMIN, Answer, READER, STRANGER, ScaleApi, app, deployment},
    secs, until, until_some,
};
use serde_json::{Value, json};

use crate::{
    apps::{Mode, nginx, server},
    support::{seconds, web},
};

/// How late a wake that is to come may be.
const LATE: Duration = secs(5);

fn in_seconds(seconds: u64) -> String {
    let at = SystemTime::now() + secs(seconds);
    Timestamp::try_from(at).unwrap().to_string()
}

fn is_error(answer: &Answer, status: u16, says: &str) {
    assert_eq!(answer.status, status, "{answer:?}");
    assert_eq!(answer.body["status"], "error", "{answer:?}");
    let error = answer.body["error"].as_str().unwrap_or_default();
    assert!(error.contains(says), "{says}: {answer:?}");
    assert!(answer.body["message"].is_string() && answer.body["timestamp"].is_string(), "{answer:?}");
}

async fn ready(t: &Context) -> ScaleApi {
    let api = t.reveille().await.scale_api().await;
    until("the API's Service leads to the leader", secs(30), async || {
        api.try_call("/ready", &[]).await.is_ok_and(|answer| answer.status == 200)
    })
    .await;
    api
}

/// Every call on a Deployment that no `ScaledApp` names, as the contract has it.
pub(crate) async fn a_plain_deployment(t: Context) {
    let api = ready(&t).await;
    let (namespace, _) = web(&t, 2).await;
    let path = |call: &str| deployment(&namespace, "web", call);
    let ready = api.get("/ready").await.body;
    assert_eq!((&ready["status"], &ready["kubernetes"]), (&json!("ready"), &json!("connected")));
    assert_eq!(api.get("/health").await.body["status"], "healthy");
    let status = async || api.get(&path("status")).await.body;
    until("both serve", secs(60), async || status().await["deployment"]["status"] == "active").await;
    let shown = status().await;
    assert_eq!(shown["message"], "Deployment status retrieved successfully");
    let of = &shown["deployment"];
    assert_eq!(
        (&of["name"], &of["namespace"], &of["deployment"], &of["desired_replicas"], &of["last_scale_time"]),
        (&json!("web"), &json!(namespace.name()), &json!("web"), &json!(2), &Value::Null),
        "it was never scaled: {shown}"
    );

    let zero = api.post(&path("scale-to-zero"), &json!({"reason": "night"})).await;
    assert_eq!((zero.status, &zero.body["message"]), (200, &json!("Deployment scaled to zero")), "{zero:?}");
    let of = &zero.body["deployment"];
    let expected = json!({"name": "web", "namespace": namespace.name(), "previous_replicas": 2,
        "current_replicas": 0, "target_replicas": 0, "target_status": "scaled-to-zero", "scaling_reason": "night"});
    assert_eq!(of, &expected);
    let inactive = status().await;
    assert_eq!(inactive["deployment"]["status"], "inactive");
    let scaled: Timestamp = inactive["deployment"]["last_scale_time"].as_str().unwrap().parse().unwrap();
    let object: Deployment = namespace.get("web").await;
    assert!(scaled >= object.metadata.creation_timestamp.unwrap().0);
    namespace.event("web", "ScaledToZero: scaled to zero by admin: night").await;

    let up = api.post(&path("scale-up"), &json!({"replicas": 3, "reason": "day"})).await;
    assert_eq!((up.status, &up.body["message"]), (200, &json!("Deployment scaled to 3 replicas")), "{up:?}");
    let of = &up.body["deployment"];
    assert_eq!(
        (&of["previous_replicas"], &of["target_replicas"], &of["target_status"]),
        (&json!(0), &json!(3), &json!("scaling-up"))
    );
    let down = api.post(&path("scale-up"), &json!({"replicas": 1, "reason": "less"})).await;
    assert_eq!(down.body["deployment"]["previous_replicas"], 3, "it scales down, too: {down:?}");

    is_error(&api.get(&deployment(&namespace, "nobody", "status")).await, 404, "nobody");
    is_error(&api.get("/api/v1/deployments/nowhere/web/status").await, 404, "nowhere/web");
    for (body, status) in [
        (json!({"reason": ""}), 400),
        (json!({"reason": "x".repeat(501)}), 400),
        (json!({}), 400),
        (json!({"reason": "x", "scheduled_scale_up": "2020-01-01T00:00:00Z"}), 400),
        (json!({"reason": "x", "scheduled_scale_up": "2126-01-01T00:00:00Z"}), 400),
    ] {
        let answer = api.post(&path("scale-to-zero"), &body).await;
        is_error(&answer, status, "");
    }
    is_error(&api.post(&path("scale-up"), &json!({"replicas": 0, "reason": "x"})).await, 400, "at least 1");
    let malformed = api.call(&path("scale-up"), &["--json", "{"]).await;
    is_error(&malformed, 400, "");
    let form = api.call(&path("scale-up"), &["-d", "replicas=1"]).await;
    is_error(&form, 415, "");
    let object: Deployment = namespace.get("web").await;
    assert_eq!(object.spec.replicas, Some(1), "what was refused changed nothing");
}

/// Whoever has no key, or one that is not good for this, changes and sees nothing.
pub(crate) async fn keys(t: Context) {
    let api = ready(&t).await;
    let (namespace, _) = web(&t, 1).await;
    let path = |call: &str| deployment(&namespace, "web", call);
    let nobody = api.with(None).get(&path("status")).await;
    is_error(&nobody, 401, "key");
    assert!(nobody.head.contains("www-authenticate: bearer"), "{nobody:?}");
    is_error(&api.with(Some("reveille_wrong")).get(&path("status")).await, 401, "");
    let stranger = api.with(Some(STRANGER));
    is_error(&stranger.get(&path("status")).await, 403, namespace.name());
    let reader = api.with(Some(READER));
    assert_eq!(reader.get(&path("status")).await.status, 200);
    is_error(&reader.post(&path("scale-to-zero"), &json!({"reason": "x"})).await, 403, "reader");
    let object: Deployment = namespace.get("web").await;
    assert_eq!(object.spec.replicas, Some(1));
    // Apps of other namespaces are not even listed.
    assert_eq!(stranger.get("/api/v1/apps").await.body["apps"], json!([]));
    for open in ["/health", "/ready", "/openapi.json"] {
        assert_eq!(api.with(None).get(open).await.status, 200, "{open}");
    }
}

/// A writer that never rests is no reason to lose an order, nor a write of the writer's.
pub(crate) async fn a_writer_that_never_rests(t: Context) {
    let api = ready(&t).await;
    let (namespace, _) = web(&t, 1).await;
    let deployments = namespace.api::<Deployment>();
    let (stop, mut stopped) = tokio::sync::oneshot::channel::<()>();
    let writes = tokio::task::spawn_local(async move {
        let mut writes = 0;
        while stopped.try_recv().is_err() {
            writes += 1;
            let patch = json!({"metadata": {"annotations": {"test": writes.to_string()}}});
            deployments.patch("web", &PatchParams::default(), &Patch::Merge(patch)).await.unwrap();
            tokio::time::sleep(Duration::from_millis(40)).await;
        }
        writes
    });
    for round in 1..=10 {
        let (call, body) = match round % 2 {
            0 => ("scale-up", json!({"replicas": round, "reason": "up"})),
            _ => ("scale-to-zero", json!({"reason": "down"})),
        };
        let answer = api.post(&deployment(&namespace, "web", call), &body).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let wanted = if round % 2 == 0 { round } else { 0 };
        let object: Deployment = namespace.get("web").await;
        assert_eq!(object.spec.replicas, Some(wanted));
    }
    let _ = stop.send(());
    let writes = writes.await.unwrap();
    let object: Deployment = namespace.get("web").await;
    assert_eq!(object.metadata.annotations.unwrap()["test"], format!("{writes}"));
    t.figure(&format!("10 orders against {writes} writes of somebody else: none lost"));
}

/// Scale-ups that are to come: replaced, called off, and done once.
pub(crate) async fn schedules(t: Context) {
    let api = ready(&t).await;
    let (namespace, _) = web(&t, 2).await;
    let path = |call: &str| deployment(&namespace, "web", call);
    let zero = async |at: Option<String>| {
        let answer =
            api.post(&path("scale-to-zero"), &json!({"reason": "night", "scheduled_scale_up": at})).await;
        assert_eq!(answer.status, 200, "{answer:?}");
    };
    let scheduled = async || api.get(&path("status")).await.body["deployment"]["scheduled_scale_up"].clone();
    zero(Some(in_seconds(3600))).await;
    let first = scheduled().await;
    zero(Some(in_seconds(7200))).await;
    assert!(first.is_string() && scheduled().await.is_string() && first != scheduled().await, "replaced");
    zero(None).await;
    assert_eq!(scheduled().await, Value::Null, "called off by a sleep without one");
    zero(Some(in_seconds(3600))).await;
    api.post(&path("scale-up"), &json!({"replicas": 1, "reason": "day"})).await;
    assert_eq!(scheduled().await, Value::Null, "called off by a scale-up");
    api.post(&path("scale-up"), &json!({"replicas": 2, "reason": "day"})).await;
    let due = Instant::now() + secs(3);
    zero(Some(in_seconds(3))).await;
    let asleep: Deployment = namespace.get("web").await;
    let replicas = async || namespace.get::<Deployment>("web").await.spec.replicas;
    until("it is scaled up", secs(20), async || replicas().await == Some(2)).await;
    let late = Instant::now().saturating_duration_since(due);
    t.figure(&format!("a scheduled scale-up is {} late", seconds(late)));
    assert!(late < LATE, "{late:?}");
    until("it is over", secs(10), async || scheduled().await.is_null()).await;
    let done: Deployment = namespace.get("web").await;
    let generation = |of: &Deployment| of.metadata.generation.unwrap();
    assert_eq!(generation(&done), generation(&asleep) + 1, "it is done once");
    namespace.event("web", "ScaledUp: scaled to 2 replicas as scheduled: night").await;
}

/// A Deployment that sleeps until a time, and that an app begins to name meanwhile: it is woken all the same.
pub(crate) async fn a_schedule_changes_hands(t: Context) {
    let api = ready(&t).await;
    let (namespace, made) = (t.namespace().await, nginx(Mode::Proxy).replicas(1));
    made.workload(&namespace).await;
    let path = |call: &str| deployment(&namespace, "web", call);
    let due = Instant::now() + secs(12);
    let order = json!({"reason": "night", "scheduled_scale_up": in_seconds(12)});
    let zero = api.post(&path("scale-to-zero"), &order).await;
    assert_eq!(zero.status, 200, "{zero:?}");
    // An app's is kept to the microsecond.
    let scheduled = async || {
        let at = api.get(&path("status")).await.body["deployment"]["scheduled_scale_up"].clone();
        at.as_str().expect("one is to come").parse::<Timestamp>().unwrap().as_microsecond()
    };
    let wanted = scheduled().await;

    let scaled = ScaledApp::create(&namespace, "web", &made.scaled_app()).await;
    scaled
        .until("it has the schedule", secs(10), |status| status.0["scheduledWake"]["reason"] == "night")
        .await;
    let annotations =
        async || namespace.get::<Deployment>("web").await.metadata.annotations.unwrap_or_default();
    until("the annotation is gone", secs(5), async || {
        !annotations().await.contains_key("reveille.dev/scheduled-scale-up")
    })
    .await;
    assert_eq!(scheduled().await, wanted);
    until("it is woken", secs(30), async || {
        namespace.get::<Deployment>("web").await.spec.replicas.is_some_and(|replicas| replicas > 0)
    })
    .await;
    let late = Instant::now().saturating_duration_since(due);
    assert!(late < LATE, "{late:?}");
}

/// An app: woken and put to sleep by hand, kept awake, in use, without waking on requests; seen while that happens.
pub(crate) async fn an_app(t: Context) {
    let api = ready(&t).await;
    let slow = server(&["/servers/slow_server"], "http", Mode::Proxy).starting_after(1_500);
    let it = slow.spec(json!({"idle": {"ttl": "30s"}})).make(&t).await;
    it.until_asleep().await;
    let here = |call: &str| app(&it.namespace, it.name, call);
    let phase = async || api.get(&here("")).await.body["phase"].clone();

    let events = tokio::task::spawn_local({
        let api = api.clone();
        async move { api.stream("/api/v1/events", 12).await }
    });
    let woken = api.post(&here("/wake"), &json!({"reason": "demo"})).await;
    assert_eq!((woken.status, &woken.body["phase"]), (202, &json!("Waking")), "{woken:?}");
    assert_eq!(woken.body["wake"]["trigger"], "admin API: demo");
    let meanwhile = it.client.at_once(&Plan { clients: 1, ..it.plan() });
    until("it is awake", secs(60), async || phase().await == "Awake").await;
    let meanwhile = meanwhile.join().await;
    assert_eq!((meanwhile.answered, meanwhile.failed), (1, 0), "{meanwhile:?}");
    it.namespace.event(it.name, "WokenByHand: woken by admin: demo").await;
    let shown = api.get(&here("")).await.body;
    let steps = shown["wake"]["steps"].as_array().unwrap();
    assert!(steps.len() >= 3 && steps.last().unwrap()["step"] == "Ready", "{shown}");
    let list = api.get("/api/v1/apps").await.body;
    let apps = list["apps"].as_array().unwrap();
    assert!(apps.iter().any(|one| one["namespace"] == it.namespace.name()), "{list}");

    // In use: it is waited for, and then refused.
    let held = it.client.at_once(&Plan { clients: 1, path: "/slow?ms=20000".into(), ..it.plan() });
    until("it is in use", secs(10), async || api.get(&here("")).await.body["inFlight"] == 1).await;
    let first = tokio::task::spawn_local({
        let (api, path) = (api.clone(), here("/sleep"));
        async move { api.post(&path, &json!({"reason": "no"})).await }
    });
    until("it falls asleep", secs(10), async || phase().await == "FallingAsleep").await;
    let asked = Instant::now();
    let second = api.post(&here("/sleep"), &json!({"reason": "now"})).await;
    assert_eq!(second.status, 409, "{second:?}");
    assert!(second.body["detail"].as_str().unwrap().contains("FallingAsleep"), "{second:?}");
    assert!(asked.elapsed() < secs(5), "it is told at once");
    let refused = first.await.unwrap();
    assert_eq!(refused.status, 409, "{refused:?}");
    assert!(refused.body["detail"].as_str().unwrap().contains("in flight for more than 10 s"), "{refused:?}");
    assert_eq!(phase().await, "Awake");
    let held = held.join().await;
    assert_eq!((held.answered, held.failed), (1, 0), "{held:?}");

    // Without waking on requests.
    let asleep = api.post(&here("/sleep"), &json!({"reason": "weekend", "wake_on_request": false})).await;
    assert_eq!((asleep.status, &asleep.body["phase"]), (200, &json!("Asleep")), "{asleep:?}");
    assert_eq!(asleep.body["wakeOnRequest"], false);
    it.namespace.event(it.name, "PutToSleepByHand: put to sleep by admin: weekend").await;
    until("requests are refused", secs(10), async || {
        it.client.get(&it.url("/"), secs(5)).await.is_ok_and(|answer| answer.status == 503)
    })
    .await;
    assert_eq!(it.replicas().await, 0);
    // A wake for a time lifts that, and holds off its idle time.
    let kept = api.post(&here("/wake"), &json!({"for": "1h"})).await;
    assert_eq!(kept.status, 202, "{kept:?}");
    assert!(kept.body["awakeUntil"].is_string(), "{kept:?}");
    it.call().await;
    it.scaled.until_phase("Awake", secs(30)).await;

    // By its Deployment it is the same app.
    let zero =
        api.post(&deployment(&it.namespace, it.name, "scale-to-zero"), &json!({"reason": "night"})).await;
    assert_eq!((zero.status, &zero.body["deployment"]["phase"]), (200, &json!("Asleep")), "{zero:?}");
    it.until_asleep().await;
    let (_, took) = it.call().await;
    t.figure(&format!("put to sleep by hand and called: answered after {}", seconds(took)));
    let told = events.await.unwrap();
    let of_it = |line: &&str| line.starts_with("data: ") && line.contains(it.namespace.name());
    let told: Vec<_> = told.lines().filter(of_it).collect();
    for step in ["Requested", "Ready"] {
        let is_told = |line: &&&str| line.contains(&format!(r#"{{"step":"{step}""#));
        assert!(told.iter().any(|line| is_told(&line)), "{step}: {told:#?}");
    }
    assert!(told.iter().any(|line| line.contains(r#""inFlight":1"#)), "{told:#?}");
}

/// What is asked of a leader that dies is known to the next one: an app that is kept awake, wakes that are to come.
pub(crate) async fn over_leaders(t: Context) {
    let api = ready(&t).await;
    let kept = nginx(Mode::Proxy).make(&t).await;
    let timed = nginx(Mode::Proxy).named("timed").make(&t).await;
    let (plain, _) = web(&t, 1).await;
    kept.until_asleep().await;
    timed.until_asleep().await;
    let keep = api.post(&app(&kept.namespace, kept.name, "/wake"), &json!({"for": "10m"})).await;
    assert_eq!(keep.status, 202, "{keep:?}");
    kept.scaled.until_phase("Awake", secs(30)).await;
    let due = SystemTime::now() + secs(8);
    let body = json!({"reason": "night", "scheduled_scale_up": in_seconds(8)});
    for path in [
        deployment(&timed.namespace, timed.name, "scale-to-zero"),
        deployment(&plain, "web", "scale-to-zero"),
    ] {
        let answer = api.post(&path, &body).await;
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    let leader = kept.reveille.leader().await.expect("one leads");
    let name = leader.metadata.name.clone().unwrap();
    // The machine's death: nobody hands the lease over.
    t.cluster.signal(&leader, "controller", nix::sys::signal::Signal::SIGKILL).await;
    kept.reveille.pods_api().delete(&name, &DeleteParams::default().grace_period(0)).await.unwrap();
    assert!(SystemTime::now() < due, "it dies before their time");
    let died = Instant::now();
    until_some("another one leads", secs(30), async || {
        let leader = kept.reveille.leader().await?;
        (leader.metadata.name.as_ref() != Some(&name)).then_some(leader)
    })
    .await;
    let led = SystemTime::now();
    until("the API's Service leads to it", secs(30), async || {
        api.try_call("/ready", &[]).await.is_ok_and(|answer| answer.status == 200)
    })
    .await;
    let reached = died.elapsed();
    timed.scaled.until_phase("Awake", secs(60)).await;
    let woken = timed.scaled.status().await.0["lastWake"]["startedAt"].clone();
    let scaled = until_some("the Deployment is scaled up", secs(30), async || {
        let shown = api.get(&deployment(&plain, "web", "status")).await.body["deployment"].clone();
        (shown["desired_replicas"] == 1).then(|| shown["last_scale_time"].clone())
    })
    .await;
    let late = [woken, scaled].map(|done| {
        let done: Timestamp = done.as_str().unwrap().parse().unwrap();
        SystemTime::from(done).duration_since(led.max(due)).unwrap_or_default()
    });
    t.figure(&format!(
        "leader killed: the API answers after {}; what was due is done {} and {} after its time or the new leader",
        seconds(reached),
        seconds(late[0]),
        seconds(late[1])
    ));
    assert!(late.iter().all(|late| *late < LATE), "{late:?}");
    plain.event("web", "ScaledUp: scaled to 1 replicas as scheduled: night").await;
    assert_eq!(kept.replicas().await, 1, "it is kept awake, long after its idle time");
    let status = api.get(&app(&kept.namespace, kept.name, "")).await.body;
    assert!(status["awakeUntil"].is_string(), "{status}");
    kept.reveille.until_ready().await;
}

/// The command line speaks to it.
pub(crate) async fn command_line(t: Context) {
    let api = ready(&t).await;
    let it = nginx(Mode::Proxy).make(&t).await;
    let server = api.url().to_owned();
    let call = async |arguments: &[&str]| {
        run(command(product::program(), [arguments, &["--server", &server, "--key", ADMIN]].concat())).await
    };
    let table = call(&["status"]).await.ok();
    assert!(table.contains(it.namespace.name()) && table.contains("PHASE"), "{table}");
    let named = format!("{}/{}", it.namespace.name(), it.name);
    let woken = call(&["wake", &named, "--wait"]).await.ok();
    assert!(woken.contains("Ready") || woken.contains("awake"), "{woken}");
    let status: ScaledApp = ScaledApp::of(&it.namespace, it.name);
    status.until_phase("Awake", secs(30)).await;
    call(&["sleep", &named, "--reason", "test"]).await.ok();
    it.until_asleep().await;
    let refused = call(&["wake", "nowhere/nobody"]).await;
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
}

/// A controller that stands by, started by hand with an API that asks for no key: it says so loudly, and sends everybody on.
pub(crate) async fn one_that_stands_by(t: Context) {
    ready(&t).await;
    let folder = t.cluster.places().state("stands-by");
    std::fs::create_dir_all(&folder).unwrap();
    let secret: Secret =
        Api::namespaced(t.cluster.client(), NAMESPACE).get("reveille-control").await.unwrap();
    let (authority, token, log) = (folder.join("ca.crt"), folder.join("token"), folder.join("log"));
    std::fs::write(&authority, &secret.data.unwrap()["ca.crt"].0).unwrap();
    std::fs::write(&token, "as it does not lead, it shows this to nobody").unwrap();
    let listen = |port: u16| format!("127.0.0.1:{port}");
    let (admin, open) = (listen(29_090), listen(29_080));
    let mut controller = command(
        product::program(),
        ["controller", "--namespace", NAMESPACE, "--identity", "stands-by", "--allow-anonymous"],
    );
    controller.env("KUBECONFIG", t.cluster.kubeconfig()).args(["--admin", &admin, "--api", &open]);
    controller.arg("--control-ca").arg(&authority).arg("--control-token").arg(&token);
    let mut controller = Daemon::start("the controller that stands by", controller, &log);
    let api = ScaleApi::at(&open).with(None);
    let refused = until_some("its API answers", secs(30), async || {
        controller.assert_runs();
        api.try_call("/api/v1/deployments/any/web/status", &[]).await.ok()
    })
    .await;
    is_error(&refused, 503, "stands by");
    assert!(refused.head.contains("retry-after: "), "{refused:?}");
    assert_eq!(api.get("/health").await.status, 200);
    assert_eq!(api.get("/ready").await.status, 503, "its Service leads past it");
    let said = std::fs::read_to_string(&log).unwrap();
    let warned =
        said.lines().any(|line| line.contains("WARN") && line.contains("--allow-anonymous: whoever reaches"));
    assert!(warned, "{said}");
    controller.kill().await;
}
