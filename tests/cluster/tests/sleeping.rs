//! An app falls asleep after its idle time, and no request is lost by it, whenever it comes.

use std::time::{Duration, Instant};

use reveille_tests_cluster::{Connections, Context, Plan, Tally, ms, secs};
use serde_json::json;

use crate::{
    apps::{App, Mode, nginx, paced, server},
    support::seconds,
};

/// Back to zero after the TTL, not while a request is in flight, and awake again.
pub(crate) async fn after_its_idle_time(t: Context) {
    let app = server(&["/servers/slow_server"], "http", Mode::Proxy).make(&t).await;
    app.scaled.until_phase("Asleep", secs(30)).await;
    // The one request takes three times the idle time.
    let url = app.url("/drip?bytes=60&ms=100");
    let long = app.client.get(&url, secs(60)).await.unwrap();
    assert_eq!((long.status, long.body.len()), (200, 60), "it was not cut off");
    let ended = Instant::now();
    let status = app.scaled.until_phase("Asleep", secs(30)).await;
    let slept = ended.elapsed();
    assert!(slept > ms(1_900), "its idle time is 2 s, it fell asleep after {slept:?}");
    assert_eq!(status.number("formerReplicas"), Some(1));
    app.until_asleep().await;
    app.scaled.event("FellAsleep").await;
    app.call().await;
    t.figure(&format!(
        "asleep {} after the end of a request of 6 s, with an idle time of 2 s",
        seconds(slept)
    ));
}

/// Not while a stream of events is open, and within its idle time and some after that has ended.
pub(crate) async fn not_while_a_stream_is_open(t: Context) {
    let app = server(&["/servers/slow_server"], "http", Mode::Proxy).make(&t).await;
    app.scaled.until_phase("Asleep", secs(30)).await;
    // Three times the idle time.
    let url = app.url("/sse?events=60&ms=100");
    let stream = app.client.get(&url, secs(60)).await.unwrap();
    assert_eq!((stream.status, stream.body.matches("data:").count()), (200, 60), "it was not cut off");
    let ended = Instant::now();
    app.scaled.until_phase("Asleep", secs(30)).await;
    let slept = ended.elapsed();
    t.figure(&format!("asleep {} after the end of a stream of events of 6 s", seconds(slept)));
    assert!(slept > ms(1_900) && slept < secs(15), "its idle time is 2 s, it fell asleep after {slept:?}");
}

/// Not while a connection is open on which nothing is said for a while: TCP in Proxy, and in Bypass a request that the pod's
/// own status shows.
pub(crate) async fn not_while_a_connection_is_open(t: Context) {
    let tcp = server(&["/servers/echo_server", "tcp", "echo"], "tcp", Mode::Proxy)
        .spec(json!({ "preset": "tcp" }))
        .named("tcp");
    let (tcp, bypass) = tokio::join!(tcp.make(&t), nginx(Mode::Bypass).make(&t));
    bypass.call().await;
    bypass.scaled.until_phase("Awake", secs(30)).await;
    let held = async |app: &App, says: &str| {
        // Three times the idle time.
        let (ip, port) = (app.address.ip(), app.address.port());
        let script = format!("exec 3<>/dev/tcp/{ip}/{port}; printf '{says}' >&3; sleep 6");
        let arguments = ["30", "bash", "-c", &script];
        let open = app.client.run("timeout", &arguments);
        let awake = async {
            app.scaled.until_phase("Awake", secs(20)).await;
            let since = Instant::now();
            while since.elapsed() < secs(4) {
                assert_ne!(app.scaled.status().await.phase(), Some("Asleep"), "{}: it is in use", app.name);
                tokio::time::sleep(ms(200)).await;
            }
        };
        let (output, ()) = tokio::join!(open, awake);
        output.ok();
        let ended = Instant::now();
        app.until_asleep().await;
        ended.elapsed()
    };
    let (tcp, bypass) = tokio::join!(held(&tcp, "hello"), held(&bypass, "GET / HTTP/1.1\\r\\nHost: x\\r\\n"));
    t.figure(&format!(
        "pods gone {} after the end of a TCP connection, {} after that of half a request in Bypass",
        seconds(tcp),
        seconds(bypass)
    ));
}

/// One client, whose pauses end around the moment at which the app falls asleep.
async fn around_the_edge(app: &App, cycles: u64, connections: Connections) -> Tally {
    let mut all = Tally::default();
    for cycle in 0..cycles {
        // The idle time is 1 s, the protocol takes some of a second more.
        let pause = Duration::from_millis(900 + (cycle * 37) % 500);
        let plan = Plan { clients: 2, connections, ..app.plan() };
        all = all.and(app.client.at_once(&plan).join().await);
        tokio::time::sleep(pause).await;
    }
    all
}

/// Requests at every moment of falling asleep: none is lost.
pub(crate) async fn the_race(t: Context) {
    let app = nginx(Mode::Proxy).spec(json!({ "idle": { "ttl": "1s" } })).make(&t).await;
    let tally = around_the_edge(&app, 60, Connections::New).await;
    tally.assert_whole();
    let (slept, aborted) = sleeps(&app).await;
    assert!(slept > 0, "it never fell asleep: that tells nothing");
    t.figure(&format!(
        "60 requests around the idle time: {}; asleep {slept} times, called off {aborted} times",
        tally.text()
    ));
}

/// How often it fell asleep, and how often that was called off.
async fn sleeps(app: &App) -> (u64, u64) {
    let labels = [("namespace", app.namespace.name()), ("app", app.name)];
    let all = app.reveille.controller_sum("reveille_sleeps_total", &labels).await;
    let slept = app
        .reveille
        .controller_sum("reveille_sleeps_total", &[labels[0], labels[1], ("outcome", "slept")])
        .await;
    (slept as u64, (all - slept) as u64)
}

/// Thirty times asleep and awake again, with clients that come each time while it falls asleep: Proxy, with connections
/// that are new and such that are kept.
pub(crate) async fn thirty_cycles_in_proxy_mode(t: Context) {
    let app = nginx(Mode::Proxy).spec(json!({ "idle": { "ttl": "300ms" } })).make(&t).await;
    let (tally, slept) = cycles(&app, 30, &[Connections::New, Connections::Kept]).await;
    t.figure(&format!("{slept} times asleep, two clients, connections new and kept: {}", tally.text()));
    tally.assert_whole();
}

/// The same in Bypass with the readiness gate, on new connections. What is kept is the app's own to drain: counted.
pub(crate) async fn thirty_cycles_in_bypass(t: Context) {
    let app = nginx(Mode::Bypass).spec(json!({ "idle": { "ttl": "1s" } })).make(&t).await;
    // Comes now and then on a connection that it keeps, awake or not.
    let kept =
        app.client.load(&Plan { clients: 1, connections: Connections::Kept, pause: secs(9), ..app.plan() });
    let (tally, slept) = cycles(&app, 30, &[Connections::New]).await;
    let kept = kept.end().await;
    t.figure(&format!(
        "{slept} times asleep, new connections: {}; one connection that is kept: {}",
        tally.text(),
        kept.text()
    ));
    tally.assert_whole();
    assert!(kept.answered > 0, "{}: {:?}", kept.text(), kept.failures);
}

/// Calls it in bursts until it was asleep so many times.
async fn cycles(app: &App, times: u64, connections: &[Connections]) -> (Tally, u64) {
    let mut all = Tally::default();
    let (before, _) = sleeps(app).await;
    loop {
        let loads: Vec<_> = connections
            .iter()
            .map(|connections| {
                app.client.load(&paced(Plan { clients: 2, connections: *connections, ..app.plan() }))
            })
            .collect();
        tokio::time::sleep(ms(300)).await;
        for load in loads {
            all = all.and(load.end().await);
        }
        app.scaled.until_phase("Asleep", secs(60)).await;
        let slept = sleeps(app).await.0 - before;
        if slept >= times {
            return (all, slept);
        }
    }
}
