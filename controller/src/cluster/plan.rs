//! What to do about an app: pure. (now, what is observed) -> what its status and its traffic should be, and what comes next.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::{core::v1::Service, discovery::v1::EndpointSlice};
use reveille_core::{
    phase::Phase,
    policy::{PortRef, Ttl},
    resource::{ClusterApp, PortStatus, Reason, ScaledAppStatus, TrafficMode},
};

use super::{
    conditions, foreign,
    objects::is_owned,
    observe::{Observed, Problem},
    phase::{self, Seen, Then},
    pods::Gate,
    service::{self, ServiceView},
    traffic::{self, Lead, Ways},
    wake::{Hopeless, hopeless, progress},
};

/// How often a wake is looked at, and pods that are to go onto the direct path.
const WATCH_WAKE: Duration = Duration::from_secs(1);
/// How often a target is looked at whose kind is not watched.
const POLL: Duration = Duration::from_secs(2);
/// How often everything is looked at anyway.
const RESYNC: Duration = Duration::from_secs(60);

/// What to do.
#[derive(Debug, PartialEq)]
pub(crate) struct Plan {
    pub(crate) status: ScaledAppStatus,
    /// The private Service, if it is not as it should be.
    pub(crate) private: Option<Box<Service>>,
    /// Our slices as they should be. None: they are left alone.
    pub(crate) slices: Option<Vec<EndpointSlice>>,
    /// Pods to put onto the direct path, each with the version at which it was seen.
    pub(crate) join: Vec<(String, String)>,
    pub(crate) next: Next,
    /// When to look again, if nothing happens before.
    pub(crate) look_after: Duration,
}

/// What comes next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Nothing.
    Rest,
    /// See whether it is idle, and then put it to sleep.
    Sleep,
    /// Its wake failed: bring it back to 0.
    GiveUp(Hopeless),
}

/// Makes the plan. `is_watched` says whether changes of the target come by themselves.
pub(crate) fn plan(now: Timestamp, seen: &Observed, is_watched: bool) -> Plan {
    let generation = seen.app.metadata.generation;
    let before = seen.status();
    let mut status = before.clone();
    status.observed_generation = generation;
    let blocking = blocking(seen);
    let then = match asked(seen, &before) {
        Some(asked) => phase::advance(now, &mut status, &look(now, seen, asked, &before)),
        None => Then::Nothing,
    };
    foreign::leave_out(&mut status, seen);
    let usable_ports = seen.ports.as_deref().unwrap_or_default();
    if let (Ok(service), None) = (&seen.service, &seen.conflict) {
        status.mode = Some(service.mode);
        if seen.ports.is_ok() {
            status.ports = usable_ports.to_vec();
        }
    }
    let traffic = traffic(seen, &status, usable_ports);
    let (private, private_problem) = private(seen);
    let problems: Vec<_> = blocking.into_iter().chain(private_problem).chain(standing(seen)).collect();
    conditions::set(now, &mut status, seen, &problems, &traffic);
    let is_bypass = status.mode == Some(TrafficMode::Bypass);
    let may_sleep =
        problems.iter().all(|problem| !stops_sleep(problem.reason, is_bypass)) && traffic.takers > 0;
    let next = match then {
        Then::GiveUp(why) if seen.resolved.is_ok() => Next::GiveUp(why),
        Then::GiveUp(_) | Then::Nothing if status.phase == Some(Phase::Awake) && may_sleep => Next::Sleep,
        Then::GiveUp(_) | Then::Nothing => Next::Rest,
    };
    let join = join(seen, &status);
    let is_moving = status.phase.is_none()
        || status.phase == Some(Phase::Waking)
        || traffic.is_moving
        || has_off(seen, &status);
    let look_after = match status.phase {
        _ if is_moving => WATCH_WAKE,
        _ if !is_watched || problems.iter().any(|problem| problem.reason == Reason::TargetNotFound) => POLL,
        _ => RESYNC,
    };
    Plan { status, private, slices: traffic.slices, join, next, look_after }
}

/// How many replicas are asked for, if that is known. A workload that is gone has none.
fn asked(seen: &Observed, before: &ScaledAppStatus) -> Option<u32> {
    match (&seen.scale, &seen.conflict) {
        (Ok(scale), None) => Some(scale.replicas),
        (Err(problem), None) if problem.reason == Reason::TargetNotFound && before.phase.is_some() => Some(0),
        _ => None,
    }
}

/// What keeps the app from being put to sleep.
fn blocking(seen: &Observed) -> Vec<Problem> {
    let mut problems = Vec::new();
    problems.extend(seen.resolved.as_ref().err().cloned());
    problems.extend(seen.conflict.clone());
    problems.extend(seen.scale.as_ref().err().cloned());
    problems.extend(seen.service.as_ref().err().cloned());
    problems.extend(seen.ports.as_ref().err().cloned());
    if let Ok(ports) = &seen.ports {
        let protocols: Vec<_> = ports.iter().map(|port| port.protocol).collect();
        let wrong = seen.app.without_effect(&protocols);
        let words: Vec<_> =
            wrong.iter().map(|problem| format!("{} {}", problem.field, problem.reason)).collect();
        if !words.is_empty() {
            problems.push(Problem::new(Reason::InvalidSpec, words.join("; ")));
        }
    }
    problems.extend(foreign::problem(seen));
    problems.extend(port_unknown(seen));
    if let Ok(ClusterApp { suspend: true, .. }) = &seen.resolved {
        problems.push(Problem::new(Reason::Suspended, "it is left alone"));
    }
    if let Some(autoscaler) = &seen.to_zero {
        let happened = format!("the HorizontalPodAutoscaler {autoscaler} has minReplicas 0");
        problems.push(Problem::new(Reason::HpaScalesToZero, happened));
    }
    if let (Ok(app), Ok(service)) = (&seen.resolved, &seen.service)
        && service.mode == TrafficMode::Bypass
        && app.scrape.is_none()
        && app.policy.idle.ttl != Ttl::Never
    {
        let happened = "its Service has a selector, so that traffic goes past Reveille while it is awake";
        problems.push(Problem::new(Reason::NoIdleSignal, happened));
    }
    problems
}

/// What is not as it should be, and keeps nothing from going on.
fn standing(seen: &Observed) -> Vec<Problem> {
    let mut problems: Vec<_> = seen.host_conflict.clone().into_iter().chain(port_lacking(seen)).collect();
    if let Some(manager) = &seen.contested {
        let happened =
            format!("the field manager {manager} set its replicas back right after it fell asleep");
        problems.push(Problem::new(Reason::ReplicasContested, happened));
    }
    problems.extend(seen.silent.clone());
    problems
}

/// Ports that the spec names and the Service lacks: nobody could ask there whether the app is ready, or idle.
fn port_unknown(seen: &Observed) -> Option<Problem> {
    let (Ok(app), Ok(service)) = (&seen.resolved, &seen.service) else { return None };
    let named = |port: &PortRef| match port {
        PortRef::Name(name) => service.ports.iter().any(|one| one.name.as_ref() == Some(name)),
        PortRef::Number(_) => true,
    };
    let readiness = app.policy.wake.readiness.port().map(|port| ("wake.readiness", port));
    let scrape = app.scrape.as_ref().map(|scrape| ("idle.scrape", &scrape.port));
    let mut wrong = readiness.into_iter().chain(scrape).filter(|(_, port)| !named(port)).peekable();
    wrong.peek()?;
    let there: Vec<_> = service.ports.iter().filter_map(|port| port.name.as_deref()).collect();
    let there = if there.is_empty() { "none by name".to_owned() } else { there.join(", ") };
    let words: Vec<_> = wrong.map(|(field, port)| format!("{field} names the port {port}")).collect();
    let happened = format!("{}, but the Service's ports are: {there}", words.join(" and "));
    Some(Problem::new(Reason::InvalidSpec, happened))
}

/// Ports of the Service that none of the pods has. Without pods nobody knows.
fn port_lacking(seen: &Observed) -> Option<Problem> {
    let service = seen.service.as_ref().ok()?;
    let alive: Vec<_> = seen.pods.iter().filter(|pod| !pod.ending).collect();
    let one = alive.first()?;
    let lacking = service.ports.iter().filter_map(|port| match &port.target {
        PortRef::Name(name) if !alive.iter().any(|pod| pod.ports.contains_key(name)) => {
            Some(format!("port {} of the Service leads to the port {name:?} of the pods", port.number))
        }
        PortRef::Name(_) | PortRef::Number(_) => None,
    });
    let lacking: Vec<_> = lacking.collect();
    let there: Vec<_> = one.ports.iter().map(|(name, number)| format!("{name} ({number})")).collect();
    let there = if there.is_empty() { "none by name".to_owned() } else { there.join(", ") };
    (!lacking.is_empty()).then(|| {
        let happened = format!("{}, which have {there}", lacking.join(", "));
        Problem::new(Reason::PortNotFound, happened)
    })
}

fn stops_sleep(reason: Reason, is_bypass: bool) -> bool {
    match reason {
        Reason::HostConflict
        | Reason::PortNotFound
        | Reason::ReplicasContested
        | Reason::ActivatorSilent
        | Reason::ScrapeFailed => false,
        // Its clients reach them directly.
        Reason::ForeignPods => is_bypass,
        _ => true,
    }
}

fn look<'a>(now: Timestamp, seen: &'a Observed, asked: u32, status: &ScaledAppStatus) -> Seen<'a> {
    let serving = seen.pods.iter().filter(|pod| pod.serves()).count();
    let target = &seen.app.spec.target.name;
    let since = status.wake.as_ref().map_or(now, |wake| wake.since.0);
    let app = seen.resolved.as_ref().ok().filter(|app| !app.suspend);
    Seen {
        asked,
        serving: u32::try_from(serving).unwrap_or(u32::MAX),
        unchanged_for: seen.unchanged_for,
        progress: progress(now, &seen.pods, &seen.events, target),
        hopeless: hopeless(now, since, &seen.pods, &seen.events, target),
        name: seen.app.metadata.name.as_deref().unwrap_or_default(),
        generation: seen.app.metadata.generation.unwrap_or_default(),
        // One that is being deleted is woken for good.
        deadline: app
            .filter(|_| seen.app.metadata.deletion_timestamp.is_none())
            .map(|app| app.policy.wake.deadline),
        cost: seen.resolved.as_ref().ok().and_then(|app| app.policy.cost.as_ref()),
    }
}

/// Where traffic goes.
pub(super) struct Traffic {
    /// None: slices are left alone, as it is not known where they should lead.
    pub(super) slices: Option<Vec<EndpointSlice>>,
    pub(super) takers: usize,
    /// Whether slices wait for something that nothing tells of.
    is_moving: bool,
}

fn traffic(seen: &Observed, status: &ScaledAppStatus, ports: &[PortStatus]) -> Traffic {
    let gone = |reason| matches!(reason, Reason::ServiceNotFound | Reason::UnsupportedService);
    let service = match (&seen.service, &seen.conflict) {
        (_, Some(_)) => return Traffic { slices: Some(Vec::new()), takers: 0, is_moving: false },
        (Err(problem), None) => {
            let slices = gone(problem.reason).then(Vec::new);
            return Traffic { slices, takers: 0, is_moving: false };
        }
        (Ok(service), None) => service,
    };
    let Some(phase) = status.phase.filter(|_| seen.ports.is_ok()) else {
        return Traffic { slices: None, takers: 0, is_moving: false };
    };
    let waits = phase == Phase::Awake && !seen.slices.is_empty() && !seen.shown;
    let lead = match service.mode {
        TrafficMode::Proxy => Lead::Activators,
        TrafficMode::Bypass if phase == Phase::Awake && !waits => Lead::Nowhere,
        TrafficMode::Bypass => Lead::Activators,
    };
    let ways = Ways { app: &seen.app, service, ports, activators: &seen.activators, pods: &seen.pods };
    let made = traffic::slices(&ways, lead);
    let is_moving = service.mode == TrafficMode::Bypass && waits;
    Traffic { slices: Some(made.slices), takers: made.takers, is_moving }
}

/// The private Service, if it has to be written, or why it cannot be.
fn private(seen: &Observed) -> (Option<Box<Service>>, Option<Problem>) {
    let (Ok(view), Ok(scale), None) = (&seen.service, &seen.scale, &seen.conflict) else {
        return (None, None);
    };
    // That it is equalities alone was seen to when the scale was read.
    let Ok(selector) = service::equalities(scale.selector.as_deref()) else { return (None, None) };
    let wanted = service::private(&seen.app, view, &selector);
    match &seen.private {
        Some(exists) if !is_owned(&exists.metadata, &seen.app) => {
            let name = exists.metadata.name.as_deref().unwrap_or_default();
            let happened = format!(
                "a Service {name} exists that is not Reveille's, where the app's pods would be listed"
            );
            (None, Some(Problem::new(Reason::UnsupportedService, happened)))
        }
        Some(exists) if service::is_current(exists, &wanted) => (None, None),
        _ => (Some(Box::new(wanted)), None),
    }
}

fn bypass(seen: &Observed) -> bool {
    matches!(&seen.service, Ok(ServiceView { mode: TrafficMode::Bypass, .. }))
}

/// Pods that serve an awake app and are not on the direct path. A gate in the pods of an app whose traffic passes the
/// activators is opened too: without it their rollouts would not end.
fn join(seen: &Observed, status: &ScaledAppStatus) -> Vec<(String, String)> {
    let is_awake = status.phase == Some(Phase::Awake) && seen.conflict.is_none();
    let off = seen.pods.iter().filter(|pod| is_awake && pod.serves() && pod.gate == Gate::Off);
    off.map(|pod| (pod.name.clone(), pod.version.clone())).collect()
}

/// Whether a pod may soon have to go onto the direct path: that it can answer shows in no slice before.
fn has_off(seen: &Observed, status: &ScaledAppStatus) -> bool {
    let off = seen.pods.iter().any(|pod| !pod.ending && pod.gate == Gate::Off);
    off && status.phase == Some(Phase::Awake)
}

/// Whether pods take direct traffic that nothing can take off its path.
pub(super) fn lacks_gate(seen: &Observed) -> Option<bool> {
    let mut alive = seen.pods.iter().filter(|pod| !pod.ending).peekable();
    if !bypass(seen) {
        return Some(false);
    }
    // Without pods nobody knows: what was said stays.
    alive.peek()?;
    Some(alive.any(|pod| pod.gate == Gate::None))
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
