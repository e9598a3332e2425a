//! Activators that drain, die, or are not there. These have the cluster to themselves.

use std::time::Instant;

use k8s_openapi::api::core::v1::Pod;
use kube::api::DeleteParams;
use nix::sys::signal::Signal;
use reveille_tests_cluster::{Connections, Context, Plan, ms, pod::is_ready, secs, until};
use serde_json::json;

use crate::{
    apps::{Mode, nginx, paced, server},
    support::seconds,
};

/// One of two activators is drained while it holds requests: all of them are answered.
pub(crate) async fn one_drains(t: Context) {
    const HELD: usize = 200;
    // Slow to start, so that the drain falls into the hold.
    let made = server(&["/servers/slow_server"], "http", Mode::Proxy).starting_after(4_000);
    let app = made.make(&t).await;
    app.until_asleep().await;
    let held = app.client.at_once(&Plan { clients: HELD, ..app.plan() });
    until("all are held", secs(30), async || app.counted("reveille_held_requests").await >= HELD as f64)
        .await;
    let activators = app.reveille.activators().await;
    assert_eq!(activators.len(), 2);
    let drained = activators[0].metadata.name.clone().unwrap();
    let started = Instant::now();
    app.reveille.pods_api().delete(&drained, &DeleteParams::default()).await.unwrap();
    let tally = held.join().await;
    tally.assert_whole();
    until("its pod is gone", secs(60), async || {
        app.reveille.pods_api().get_opt(&drained).await.is_ok_and(|pod| pod.is_none())
    })
    .await;
    let gone = started.elapsed();
    app.reveille.until_ready().await;
    t.figure(&format!(
        "{HELD} held, one of two activators drained: {}; its pod was gone after {}",
        tally.text(),
        seconds(gone)
    ));
}

/// One of two activators is killed under load: what breaks beside its own connections, and for how long.
pub(crate) async fn one_is_killed(t: Context) {
    let app = nginx(Mode::Proxy).spec(json!({ "idle": { "ttl": "1m" } })).make(&t).await;
    app.call().await;
    let load = app.client.load(&paced(Plan { clients: 4, patience: secs(3), ..app.plan() }));
    load.until_answered(4).await;
    let victim = app.reveille.activators().await.remove(0);
    t.cluster.signal(&victim, "activator", Signal::SIGKILL).await;
    // Its container is started again in the same pod: both are there again in the end.
    let name = victim.metadata.name.clone().unwrap();
    until("it is started again, and ready", secs(60), async || {
        app.reveille
            .pods_api()
            .get(&name)
            .await
            .is_ok_and(|pod| restarts(&pod) > restarts(&victim) && is_ready(&pod))
    })
    .await;
    until("every node leads to it again", secs(15), async || app.crowd(20).await.failed == 0).await;
    let tally = load.end().await;
    let broken = tally.broken.map_or(ms(0), |(first, last)| last - first);
    t.figure(&format!(
        "one of two activators killed, 4 clients on new connections: {}; broken for {}",
        tally.text(),
        seconds(broken)
    ));
    assert!(broken < secs(15), "{:?}", tally.failures);
    app.crowd(20).await.assert_whole();
}

/// How often the containers of a pod were started again.
fn restarts(pod: &Pod) -> i32 {
    let statuses = pod.status.iter().flat_map(|status| status.container_statuses.iter().flatten());
    statuses.map(|status| status.restart_count).sum()
}

/// No activator at all: an awake app gets its traffic directly.
pub(crate) async fn all_are_down(t: Context) {
    let app = nginx(Mode::Proxy).spec(json!({ "idle": { "ttl": "10m" } })).make(&t).await;
    app.call().await;
    app.scaled.until_phase("Awake", secs(30)).await;
    let passed = app.counted("reveille_requests_total").await;
    assert!(passed >= 1.0);
    app.reveille.scale_activators(0).await;
    until("no activator is left", secs(60), async || app.reveille.activators().await.is_empty()).await;
    let started = Instant::now();
    until("the app is reached directly", secs(30), async || {
        app.client.get(&app.url("/"), ms(500)).await.is_ok_and(|answer| answer.status == 200)
    })
    .await;
    let direct = started.elapsed();
    app.scaled.until_condition("TrafficProgrammed", false, "NoActivator").await;
    app.reveille.scale_activators(2).await;
    app.reveille.until_ready().await;
    until("traffic passes the activators again", secs(30), async || {
        let before = app.counted("reveille_requests_total").await;
        app.crowd(5).await.failed == 0 && app.counted("reveille_requests_total").await == before + 5.0
    })
    .await;
    t.figure(&format!("all activators gone: the app was reached directly {} later", seconds(direct)));
    assert!(direct < secs(5), "{direct:?}");
}

/// Without a controller apps are woken, and none falls asleep; with one again, they do.
pub(crate) async fn no_controller(t: Context) {
    let app = nginx(Mode::Proxy).make(&t).await;
    app.until_asleep().await;
    app.reveille.scale_controllers(0).await;
    until("no controller is left", secs(60), async || app.reveille.controllers().await.is_empty()).await;
    let (_, cold) = app.call().await;
    tokio::time::sleep(secs(6)).await; // three times the idle time: what must not happen needs time to happen
    assert_eq!(app.replicas().await, 1, "nothing falls asleep without a controller");
    app.crowd(10).await.assert_whole();
    app.reveille.scale_controllers(2).await;
    app.reveille.until_ready().await;
    app.until_asleep().await;
    t.figure(&format!("woken without a controller in {}", seconds(cold)));
}

/// The leader is killed: the other one leads within 15 s, and status goes on.
pub(crate) async fn the_leader_is_killed(t: Context) {
    let app = nginx(Mode::Proxy).make(&t).await;
    let leader = app.reveille.leader().await.expect("one leads");
    let name = leader.metadata.name.clone().unwrap();
    let load = app.client.load(&paced(Plan { clients: 2, connections: Connections::Kept, ..app.plan() }));
    app.scaled.until_phase("Awake", secs(30)).await;
    let started = Instant::now();
    // The machine's death: nobody hands the lease over.
    t.cluster.signal(&leader, "controller", Signal::SIGKILL).await;
    app.reveille.pods_api().delete(&name, &DeleteParams::default().grace_period(0)).await.unwrap();
    until("another one leads", secs(30), async || {
        app.reveille.leader().await.is_some_and(|leader| leader.metadata.name.as_ref() != Some(&name))
    })
    .await;
    let led = started.elapsed();
    load.end().await.assert_whole();
    app.until_asleep().await;
    app.reveille.until_ready().await;
    t.figure(&format!("leader killed: another leads after {}", seconds(led)));
    assert!(led < secs(15), "{led:?}");
}

/// Every image of the planes is replaced under load: nothing fails, held or flowing.
pub(crate) async fn rolling_upgrade(t: Context) {
    const HELD: usize = 100;
    let awake = nginx(Mode::Proxy).spec(json!({ "idle": { "ttl": "10m" } })).make(&t).await;
    awake.call().await;
    let slow = server(&["/servers/slow_server"], "http", Mode::Proxy).named("slow").starting_after(8_000);
    let slow = slow.make(&t).await;
    slow.until_asleep().await;
    let flowing: Vec<_> = [Connections::New, Connections::Kept]
        .map(|connections| {
            awake.client.load(&Plan { clients: 3, connections, pause: ms(20), ..awake.plan() })
        })
        .into();
    let held = slow.client.at_once(&Plan { clients: HELD, ..slow.plan() });
    until("all are held", secs(30), async || slow.counted("reveille_held_requests").await >= HELD as f64)
        .await;
    let started = Instant::now();
    awake
        .reveille
        .upgrade(&[
            ("activator.podAnnotations.upgrade", "again"),
            ("controller.podAnnotations.upgrade", "again"),
        ])
        .await;
    awake.reveille.until_ready().await;
    let took = started.elapsed();
    let mut tally = held.join().await;
    let flowed = {
        let mut all = reveille_tests_cluster::Tally::default();
        for load in flowing {
            all = all.and(load.end().await);
        }
        all
    };
    let rate = flowed.answered as f64 / started.elapsed().as_secs_f64();
    t.figure(&format!(
        "upgraded in {}: held: {}; flowing at {rate:.0} requests/s: {}",
        seconds(took),
        tally.text(),
        flowed.text()
    ));
    tally = tally.and(flowed);
    tally.assert_whole();
}
