//! Reading what is known of one app: what must not be old from the API server, the rest from what is watched.

use k8s_openapi::api::{
    core::v1::{Endpoints, Event},
    discovery::v1::EndpointSlice,
};
use kube::{Api, api::ListParams};
use reveille_core::{
    app::AppId,
    policy::Problem as FieldProblem,
    resource::{PortStatus, Reason, ScaledApp, TrafficMode, names},
};

use super::{
    contest, direct,
    memory::Memory,
    objects,
    observe::{Observed, Problem, conflicts, scales_to_zero},
    owners::{self, Foreign},
    pods::PodView,
    ports::PortsError,
    service::{self, ServiceView},
    traffic,
    traits::{Scale, ScaleError},
    wake::{EventView, PODS_TOLD},
    world::{WorkError, World},
};

/// How long it is remembered that a Service has no Endpoints by hand.
const ENDPOINTS_FOR: std::time::Duration = std::time::Duration::from_secs(30);

/// Everything that is known of the app.
pub(crate) async fn observe(
    world: &World,
    memory: &mut Memory,
    app: ScaledApp,
) -> Result<Observed, WorkError> {
    let id = objects::id(&app.metadata);
    let rivals = world.stores.rivals(&app);
    let others: Vec<&ScaledApp> = rivals.iter().filter_map(|other| other.0.as_ref().ok()).collect();
    let (conflict, host_conflict) = conflicts(&app, &others);
    let service = public_service(world, memory, &id, &app).await?;
    let ports = ports(world, &app, &service, conflict.is_some()).await?;
    let scale = scale(world, &id, &app).await?;
    let asked = scale.as_ref().map_or(0, |scale| scale.replicas);
    let (pods, foreign) = match &scale {
        Ok(scale) => pods(world, memory, &id, &app, scale).await?,
        Err(_) => (Vec::new(), Vec::new()),
    };
    let serves = pods.iter().any(PodView::serves);
    let events = if asked > 0 && !serves { events(world, &id, &pods).await? } else { Vec::new() };
    let slices: Vec<_> =
        world.stores.slices(&id).into_iter().filter(|slice| traffic::is_ours(slice, &app)).collect();
    let is_bypass = service.as_ref().is_ok_and(|service| service.mode == TrafficMode::Bypass);
    let shown = is_bypass && serves && !slices.is_empty() && shown(world, &id, &app, &pods).await?;
    let now = crate::clock::now();
    memory.contest.see(now, asked, || {
        let target = world.stores.target(&id.namespace, &app.spec.target)?;
        contest::setter(target.managed_fields.as_deref().unwrap_or_default())
    });
    Ok(Observed {
        resolved: app.resolve().map_err(|problems| invalid(&problems)),
        conflict,
        host_conflict,
        service,
        ports,
        unchanged_for: memory.unchanged_for(now, asked, &pods),
        scale,
        pods,
        foreign,
        events,
        slices,
        shown,
        private: world.stores.service(&id.namespace, &names::private_service(&id.name)),
        activators: world.parts.activators.watch().borrow().clone(),
        to_zero: scales_to_zero(&app.spec.target, &world.stores.autoscalers(&id.namespace)),
        contested: memory.contest.manager(),
        silent: memory.silence(now),
        app,
    })
}

fn invalid(problems: &[FieldProblem]) -> Problem {
    let words: Vec<_> =
        problems.iter().map(|problem| format!("{}: {}", problem.field, problem.reason)).collect();
    Problem::new(Reason::InvalidSpec, words.join("; "))
}

async fn public_service(
    world: &World,
    memory: &mut Memory,
    id: &AppId,
    app: &ScaledApp,
) -> Result<Result<ServiceView, Problem>, WorkError> {
    let name = &app.spec.service;
    let Some(found) = world.stores.service(&id.namespace, name) else {
        let happened = format!("there is no Service {name}");
        return Ok(Err(Problem::new(Reason::ServiceNotFound, happened)));
    };
    let has_selector =
        found.spec.as_ref().and_then(|spec| spec.selector.as_ref()).is_some_and(|all| !all.is_empty());
    let endpoints = match has_selector {
        true => None,
        false => endpoints(world, memory, id, name).await?,
    };
    Ok(service::view(&found, endpoints.as_ref()).map_err(|why| Problem::new(Reason::UnsupportedService, why)))
}

async fn endpoints(
    world: &World,
    memory: &mut Memory,
    id: &AppId,
    name: &str,
) -> Result<Option<Endpoints>, WorkError> {
    let now = crate::clock::now();
    if let Some((of, at, known)) = &memory.endpoints
        && of == name
        && now.saturating_duration_since(*at) < ENDPOINTS_FOR
    {
        return Ok(known.clone());
    }
    let api: Api<Endpoints> = Api::namespaced(world.client.clone(), &id.namespace);
    let found = api.get_opt(name).await?;
    memory.endpoints = Some((name.to_owned(), now, found.clone()));
    Ok(found)
}

/// The listener ports. One that is being deleted gets no new ones.
async fn ports(
    world: &World,
    app: &ScaledApp,
    service: &Result<ServiceView, Problem>,
    conflicts: bool,
) -> Result<Result<Vec<PortStatus>, Problem>, WorkError> {
    let had = app.status.as_ref().map(|status| status.ports.clone()).unwrap_or_default();
    let (Ok(view), false, Some(uid)) =
        (service, conflicts || app.metadata.deletion_timestamp.is_some(), &app.metadata.uid)
    else {
        return Ok(Ok(had));
    };
    let numbers: Vec<_> = view.ports.iter().map(|port| port.number).collect();
    let given = match world.ports.allocate(uid, &numbers).await {
        Ok(given) => given,
        Err(PortsError::Full(full)) => return Ok(Err(Problem::new(Reason::PortConflict, full.to_string()))),
        Err(error) => return Err(error.into()),
    };
    let status = |(port, given): (&service::ServicePort, u16)| {
        let (protocol, upstream_protocol) = port.protocols(app.spec.preset);
        PortStatus {
            name: port.name.clone(),
            service_port: port.number,
            port: given,
            protocol,
            upstream_protocol,
            upstream: port.target.clone(),
        }
    };
    Ok(Ok(view.ports.iter().zip(given).map(status).collect()))
}

async fn scale(world: &World, id: &AppId, app: &ScaledApp) -> Result<Result<Scale, Problem>, WorkError> {
    let target = &app.spec.target;
    let named = format!("the {} {}", target.kind, target.name);
    let (reason, why) = match world.parts.scales.get(&id.namespace, target).await {
        Ok(scale) => match service::equalities(scale.selector.as_deref()) {
            Ok(_) => return Ok(Ok(scale)),
            Err(why) => (Reason::TargetNotScalable, why),
        },
        Err(ScaleError::NotFound(why)) => (Reason::TargetNotFound, why),
        Err(ScaleError::NotScalable(why)) => (Reason::TargetNotScalable, why),
        Err(ScaleError::NotPermitted(why)) => (Reason::NotPermitted, why),
        Err(error @ ScaleError::Unreachable(_)) => return Err(WorkError::Passing(error.to_string())),
    };
    Ok(Err(Problem::new(reason, format!("{named}: {why}"))))
}

/// The target's own pods, and others that its selector matches. One that is to have no replicas has no pods of its own that
/// count, but what belongs to others keeps it from being woken.
async fn pods(
    world: &World,
    memory: &mut Memory,
    id: &AppId,
    app: &ScaledApp,
    scale: &Scale,
) -> Result<(Vec<PodView>, Vec<Foreign>), WorkError> {
    let api = Api::namespaced(world.client.clone(), &id.namespace);
    let selector = scale.selector.as_deref().unwrap_or_default();
    let all = match scale.replicas {
        0 => direct::list_cached(&api, selector).await?,
        _ => direct::list(&api, selector).await?,
    };
    let target = &app.spec.target;
    memory.sets.read(&world.client, &id.namespace, target, &all).await?;
    let (own, foreign) = owners::split(target, all, &memory.sets);
    Ok((if scale.replicas == 0 { Vec::new() } else { own }, foreign))
}

/// The events of some pods of a wake, or of what should make pods if there are none.
async fn events(world: &World, id: &AppId, pods: &[PodView]) -> Result<Vec<EventView>, WorkError> {
    let api: Api<Event> = Api::namespaced(world.client.clone(), &id.namespace);
    let mut selectors: Vec<_> = pods
        .iter()
        .filter(|pod| !pod.ending)
        .take(PODS_TOLD)
        .map(|pod| format!("involvedObject.kind=Pod,involvedObject.name={}", pod.name))
        .collect();
    if selectors.is_empty() {
        selectors.push("reason=FailedCreate".to_owned());
    }
    let mut events = Vec::new();
    for selector in selectors {
        let list = api.list(&ListParams::default().fields(&selector)).await?;
        events.extend(list.items.into_iter().map(EventView::new));
    }
    events.sort_by_key(|event| event.last);
    Ok(events)
}

/// Whether the app's slices show a replica that is not told to stop. Nobody raises a count of 0 before they do not: see
/// `StopBeforeWake` of the protocol.
pub(crate) async fn still_shown(world: &World, id: &AppId, foreign: &[Foreign]) -> Result<bool, WorkError> {
    let api: Api<EndpointSlice> = Api::namespaced(world.client.clone(), &id.namespace);
    let label = format!("{}={}", traffic::SERVICE_NAME, names::private_service(&id.name));
    let slices = api.list(&ListParams::default().labels(&label)).await?;
    let stays = |endpoint: &k8s_openapi::api::discovery::v1::Endpoint| {
        let conditions = endpoint.conditions.as_ref();
        let uid = endpoint.target_ref.as_ref().and_then(|pod| pod.uid.as_ref());
        conditions.and_then(|conditions| conditions.terminating) != Some(true)
            && !foreign.iter().any(|pod| Some(&pod.uid) == uid)
    };
    Ok(slices.items.iter().any(|slice| slice.endpoints.iter().flatten().any(stays)))
}

/// Whether the cluster's own slices of the public Service show a pod that serves.
pub(crate) async fn shown(
    world: &World,
    id: &AppId,
    app: &ScaledApp,
    pods: &[PodView],
) -> Result<bool, WorkError> {
    let api: Api<EndpointSlice> = Api::namespaced(world.client.clone(), &id.namespace);
    let label = format!("{}={}", traffic::SERVICE_NAME, app.spec.service);
    let slices = api.list(&ListParams::default().labels(&label)).await?;
    Ok(traffic::show_one(&slices.items, pods))
}
