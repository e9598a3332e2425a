//! An app at zero is called: the client sees one slow answer, whatever it speaks and however its traffic flows.

use std::time::Instant;

use reveille_tests_cluster::{Autoscaler, Context, Pool, ms, secs, until};
use serde_json::json;

use crate::{
    apps::{App, Made, Mode, nginx, server},
    nodes::{gpu_node, gpu_pod},
    support::seconds,
};

/// A request to the ClusterIP of a sleeping app is answered once; the second is quick, the app awake, and the wake told.
async fn one_slow_answer(t: &Context, made: Made) -> App {
    let app = made.make(t).await;
    app.scaled.until_phase("Asleep", secs(30)).await;
    let (first, cold) = app.call().await;
    let (second, warm) = app.call().await;
    assert_eq!(first, second, "one pod answers both");
    let status = app.scaled.until_phase("Awake", secs(30)).await;
    assert_eq!(status.0["lastWake"]["outcome"], "Ready", "{}", status.0);
    app.scaled.event("WakeStarted").await;
    app.scaled.event("Awake").await;
    t.figure(&format!("first answer after {}, second after {}", seconds(cold), seconds(warm)));
    app
}

/// A Service without a selector: all traffic passes the activators, awake as well.
pub(crate) async fn proxy(t: Context) {
    let app = one_slow_answer(&t, nginx(Mode::Proxy)).await;
    let before = app.counted("reveille_requests_total").await;
    app.crowd(10).await.assert_whole();
    let after = app.counted("reveille_requests_total").await;
    assert_eq!(after - before, 10.0, "awake, too, it goes through the activators");
}

/// A Service with a selector: once the app is awake, traffic goes past the activators.
pub(crate) async fn bypass(t: Context) {
    let app = one_slow_answer(&t, nginx(Mode::Bypass).spec(json!({ "idle": { "ttl": "30s" } }))).await;
    let awake = Instant::now();
    until("new connections pass the activators by", secs(30), async || {
        let before = app.counted("reveille_requests_total").await;
        app.crowd(5).await.assert_whole();
        app.counted("reveille_requests_total").await == before
    })
    .await;
    let direct = awake.elapsed();
    let before = app.counted("reveille_requests_total").await;
    app.crowd(50).await.assert_whole();
    assert_eq!(app.counted("reveille_requests_total").await, before, "50 of 50 went straight to the pod");
    t.figure(&format!("traffic is direct {} after the app was awake", seconds(direct)));
}

/// A StatefulSet sleeps and wakes as a Deployment does.
pub(crate) async fn stateful_set(t: Context) {
    let app = one_slow_answer(&t, nginx(Mode::Proxy).stateful()).await;
    app.until_asleep().await;
    let (_, again) = app.call().await;
    t.figure(&format!("woken again in {}", seconds(again)));
}

/// gRPC over h2c: a call's message, its status and its trailers.
pub(crate) async fn grpc(t: Context) {
    let made =
        server(&["/servers/echo_server", "grpc"], "grpc", Mode::Proxy).spec(json!({ "preset": "grpc" }));
    let app = made.make(&t).await;
    app.scaled.until_phase("Asleep", secs(30)).await;
    // A Note with the payload `hello`, in a frame of gRPC.
    let script = format!(
        r#"printf '\000\000\000\000\007\012\005hello' | curl -sS --max-time 60 --http2-prior-knowledge \
           -H 'content-type: application/grpc' -H 'te: trailers' --data-binary @- -D - -o - \
           http://{}/reveille.test.Echo/Unary | tr -d '\000'"#,
        app.address
    );
    let started = Instant::now();
    let answer = app.client.run("sh", &["-c", &script]).await.ok();
    let cold = started.elapsed();
    assert!(answer.contains("hello") && answer.contains("grpc-status: 0"), "{answer}");
    app.scaled.until_phase("Awake", secs(30)).await;
    t.figure(&format!("first call answered after {}", seconds(cold)));
}

/// Bytes: what a client sends before the app can take them is there when it can.
pub(crate) async fn tcp(t: Context) {
    let made =
        server(&["/servers/echo_server", "tcp", "echo"], "tcp", Mode::Proxy).spec(json!({ "preset": "tcp" }));
    let app = made.make(&t).await;
    app.scaled.until_phase("Asleep", secs(30)).await;
    let (ip, port) = (app.address.ip(), app.address.port());
    let script =
        format!("exec 3<>/dev/tcp/{ip}/{port}; echo hello >&3; read -t 60 answer <&3; echo \"$answer\"");
    let started = Instant::now();
    let answer = app.client.run("bash", &["-c", &script]).await.ok();
    assert_eq!(answer.trim(), "hello");
    t.figure(&format!("first bytes back after {}", seconds(started.elapsed())));
    app.until_asleep().await;
}

/// A pod that needs a GPU, and no node with one: the request is held while the autoscaler brings the node; asleep, the
/// node goes as well. The wake tells each step.
pub(crate) async fn gpu_from_zero(t: Context) {
    const POOL: &str = "wakes";
    let made =
        nginx(Mode::Proxy).pod(|pod| *pod = gpu_pod(POOL)).spec(json!({ "wake": { "deadline": "5m" } }));
    let app = made.make(&t).await;
    let pool = Pool::new(POOL, gpu_node(POOL))
        .only(app.namespace.name())
        .max(1)
        .provision(secs(5))
        .unneeded(secs(2));
    let autoscaler = Autoscaler::start(&t.cluster, pool);
    let step = |name: &'static str| {
        app.scaled.until(format!("step {name}"), secs(60), move |status| status.0["wake"]["step"] == name)
    };
    let (answered, provisioning) = tokio::join!(app.call(), step("NodeProvisioning"));
    let reason = provisioning.0["wake"]["message"].as_str().unwrap_or_default().to_owned();
    assert!(reason.contains("pod triggered scale-up"), "{reason}");
    app.until_asleep().await;
    let started = Instant::now();
    autoscaler.until_empty(secs(30)).await;
    t.figure(&format!(
        "with a machine that takes 5 s the first answer came after {}; the node was gone {} after the app",
        seconds(answered.1),
        seconds(started.elapsed())
    ));
}

/// How much a wake costs beside the app's own start: from the moment at which the pod answers to the moment at which the
/// held request is answered, and the same from the kubelet's word that it is ready.
pub(crate) async fn overhead(t: Context) {
    const WAKES: usize = 10;
    let app = nginx(Mode::Proxy).spec(json!({ "idle": { "ttl": "1s" } })).make(&t).await;
    let (mut able, mut ready) = (Vec::new(), Vec::new());
    for _ in 0..WAKES {
        app.until_asleep().await;
        let is_ready = async {
            app.namespace.ready_pod(app.name).await;
            Instant::now()
        };
        let answers = async {
            let (_, address) = app.pod_with_address().await;
            let url = format!("http://{address}/");
            loop {
                if app.client.get(&url, secs(1)).await.is_ok() {
                    return Instant::now();
                }
                tokio::time::sleep(ms(2)).await;
            }
        };
        let answered = async {
            app.call().await;
            Instant::now()
        };
        let (ready_at, able_at, answered_at) = tokio::join!(is_ready, answers, answered);
        able.push(answered_at.saturating_duration_since(able_at));
        ready.push(answered_at.saturating_duration_since(ready_at));
    }
    able.sort();
    ready.sort();
    let (half, last) = (WAKES / 2, WAKES - 1);
    t.figure(&format!(
        "{WAKES} wakes: pod answers -> request answered {} (median), {} (longest); pod Ready -> request answered {} \
         (median; 0 is before it)",
        seconds(able[half]),
        seconds(able[last]),
        seconds(ready[half]),
    ));
    assert!(able[half] < secs(1), "held requests are not forwarded as soon as the app can answer: {able:?}");
}
