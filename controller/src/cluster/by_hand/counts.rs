//! What is under way at the activators, added up: for people to see, and asked for only while somebody looks. Nothing is
//! decided on it.

use std::{collections::HashMap, sync::Arc, time::Duration};

use futures_util::future::join_all;
use reveille_core::control::AllActivity;

use super::view::Counts;
use crate::cluster::{
    fleet::{Fleet, Member},
    traits::ActivatorPod,
    world::World,
};

/// How often they are asked.
const EVERY: Duration = Duration::from_secs(1);

/// Asks until it is dropped.
pub(crate) async fn follow(world: Arc<World>) {
    let activators = world.parts.activators.watch();
    let mut ticks = tokio::time::interval(EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if world.board.is_looked_at() {
            let pods = activators.borrow().clone();
            world.board.count(add(ask(&*world.parts.fleet, &pods).await));
        }
    }
}

async fn ask(fleet: &dyn Fleet, pods: &[ActivatorPod]) -> Vec<AllActivity> {
    let asked = pods.iter().map(|pod| async move {
        let member = Member { name: pod.name.clone(), address: pod.addresses.first().copied() };
        // One that is silent, or of a release that does not say it, is left out: its pod's condition tells.
        fleet.under_way(&member).await.unwrap_or_default()
    });
    join_all(asked).await
}

fn add(all: Vec<AllActivity>) -> HashMap<reveille_core::app::AppId, Counts> {
    let mut counts = HashMap::<_, Counts>::new();
    for busy in all.into_iter().flat_map(|activity| activity.busy) {
        let counts = counts.entry(busy.app).or_default();
        counts.in_flight += busy.in_flight;
        counts.held += busy.held;
    }
    counts
}

#[cfg(test)]
mod tests {
    use reveille_core::{app::AppId, control::Busy};

    use super::*;

    #[test]
    fn what_several_activators_serve_is_added_up() {
        let busy = |name, in_flight, held| Busy { app: AppId::new("team", name), in_flight, held };
        let one = AllActivity { busy: vec![busy("a", 2, 1), busy("b", 1, 0)] };
        let other = AllActivity { busy: vec![busy("a", 3, 3)] };
        let counts = add(vec![one, AllActivity::default(), other]);
        assert_eq!(counts[&AppId::new("team", "a")], Counts { in_flight: 5, held: 4 });
        assert_eq!(counts[&AppId::new("team", "b")], Counts { in_flight: 1, held: 0 });
    }
}
