//! When an app of a cluster is idle, by what activators and pods say.

use reveille_core::resource::ScrapeFormat;

use super::*;
use crate::cluster::{
    attempt::fake::{Manner, State, TTL, World, report},
    scrape::Sample,
};

const LONG: Duration = Duration::from_secs(100_000);

fn idleness(world: &Arc<World>) -> ClusterIdleness {
    ClusterIdleness::new(Arc::clone(world) as _, Arc::clone(world) as _)
}

async fn look(change: impl FnOnce(&mut State), awake_for: Duration) -> Idle {
    let world = World::new();
    change(&mut world.state());
    idleness(&world).look(&*world, awake_for).await
}

fn no(idle: Idle) -> (Stay, String, Option<Duration>) {
    let Idle::No { why, detail, recheck_after } = idle else { panic!("{idle:?}") };
    (why, detail.unwrap_or_default(), recheck_after)
}

fn unknown(idle: Idle) -> (Reason, String, Option<Duration>) {
    let Idle::Unknown { reason, detail, recheck_after } = idle else { panic!("{idle:?}") };
    (reason, detail, recheck_after)
}

#[tokio::test(start_paused = true)]
async fn an_app_is_idle_on_the_report_of_every_activator() {
    let Idle::Yes(evidence) = look(|_| {}, LONG).await else { panic!("it is") };
    let want = [("a".to_owned(), report("boot-1", 7)), ("b".to_owned(), report("boot-2", 7))];
    assert_eq!(evidence.reports, want);
    let (why, ..) = no(look(|_| {}, TTL / 2).await);
    assert_eq!(why, Stay::Recent);
    let (why, ..) = no(look(|state| state.activators.get_mut("a").unwrap().report.in_flight = 1, LONG).await);
    assert_eq!(why, Stay::InFlight);
}

#[tokio::test(start_paused = true)]
async fn who_says_nothing_is_a_veto_by_name() {
    let (reason, detail, after) =
        unknown(look(|state| state.activators.get_mut("b").unwrap().manner = Manner::Never, LONG).await);
    assert_eq!((reason, after), (Reason::ActivatorSilent, Some(REPORT_FRESH_FOR)));
    assert!(detail.contains("activator b does not answer"), "{detail}");
    let (reason, detail, _) =
        unknown(look(|state| state.activators.get_mut("b").unwrap().address = None, LONG).await);
    assert_eq!(reason, Reason::ActivatorSilent);
    assert!(detail.contains("no address"), "{detail}");
    let (reason, detail, _) = unknown(look(|state| state.activators.clear(), LONG).await);
    assert_eq!((reason, detail.as_str()), (Reason::ActivatorSilent, "there is no activator"));
}

#[tokio::test(start_paused = true)]
async fn traffic_that_nobody_counts_is_never_called_idle() {
    let (reason, detail, after) = unknown(look(|state| state.mode = TrafficMode::Bypass, LONG).await);
    assert_eq!((reason, after), (Reason::NoIdleSignal, None));
    assert!(detail.contains("idle.scrape"), "{detail}");
}

fn calls(n: u64) -> Sample {
    Sample { counters: vec![("calls_total".into(), n.to_string())], busy: None, shows_in_flight: false }
}

#[tokio::test(start_paused = true)]
async fn pods_are_looked_at_often_and_idle_once_nothing_moved_for_the_ttl() {
    let world = World::new();
    world.bypass(calls(3));
    let idleness = idleness(&world);
    let mut looks = 0;
    let begin = now();
    let evidence = loop {
        match idleness.look(&*world, LONG).await {
            Idle::Yes(evidence) => break evidence,
            Idle::No { why, recheck_after, .. } => {
                assert_eq!(why, Stay::Recent);
                let after = recheck_after.unwrap();
                assert!((MIN_SCRAPE..=SCRAPE_EVERY).contains(&after), "{after:?}");
                tokio::time::sleep(after).await;
                looks += 1;
            }
            Idle::Unknown { detail, .. } => panic!("{detail}"),
        }
    };
    assert!(now() - begin >= TTL && now() - begin < TTL + 2 * MIN_SCRAPE, "{:?}", now() - begin);
    assert!(looks >= 4);
    assert_eq!(evidence.counters, [("pod".to_owned(), calls(3).counters)]);

    for (moved, want) in [
        (Ok(calls(4)), Stay::Recent),
        (Ok(calls(0)), Stay::Recent),
        (Ok(Sample { busy: Some("g is 1".into()), ..calls(0) }), Stay::InFlight),
    ] {
        world.state().sample = moved;
        let (why, detail, _) = no(idleness.look(&*world, LONG).await);
        assert_eq!(why, want, "{detail}");
        assert!(!detail.is_empty());
    }
    world.state().sample = Err("refused".to_owned());
    let (reason, detail, _) = unknown(idleness.look(&*world, LONG).await);
    assert!(reason == Reason::ScrapeFailed && detail.contains("refused"), "{reason}: {detail}");
    idleness.forget(world.id());
    world.state().sample = Ok(calls(0));
    assert_eq!(
        no(idleness.look(&*world, LONG).await).0,
        Stay::Recent,
        "what is seen first may have just moved"
    );
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_comes_or_goes_is_activity() {
    let world = World::new();
    let idleness = idleness(&world);
    let what = Scrape {
        port: reveille_core::policy::PortRef::Number(1),
        path: "/".into(),
        format: ScrapeFormat::Prometheus { metrics: ["calls_total".to_owned()].into() },
    };
    let of = |pods: &[&str]| pods.iter().map(|&pod| (pod.to_owned(), Ok(calls(3)))).collect();
    let since = |pods| match idleness.compare(world.id(), &what, pods) {
        Pods::Quiet { since, .. } => now() - since,
        Pods::Busy(_) | Pods::Unknown(_) => panic!("it is quiet"),
    };
    assert_eq!(since(of(&["a", "b"])), Duration::ZERO);
    let second = Duration::from_secs(1);
    for (pods, want) in [
        (&["a", "b"][..], second),
        (&["a"], Duration::ZERO),
        (&["c"], Duration::ZERO),
        (&["c"], second),
        (&["c", "d"], Duration::ZERO),
    ] {
        tokio::time::sleep(second).await;
        assert_eq!(since(of(pods)), want, "{pods:?}");
    }
}
