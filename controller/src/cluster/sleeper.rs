//! An app as the sleep protocol sees it, over the API server.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
};

use jiff::Timestamp;
use k8s_openapi::{
    api::{core::v1::Pod, discovery::v1::EndpointSlice},
    apimachinery::pkg::apis::meta::v1::MicroTime,
};
use kube::{Api, Client};
use reveille_core::{
    app::AppId,
    phase::Phase,
    policy::{Policy, PortRef},
    resource::{ClusterApp, PortStatus, ScaledApp, ScaledAppStatus, Scrape, TargetSpec, TrafficMode},
};
use serde_json::{Value, json};
use tokio::sync::watch;

use super::{
    apply,
    by_hand::Night,
    direct,
    pods::PodView,
    service::ServiceView,
    status,
    traffic::{self, Lead, Ways},
    traits::{ActivatorPod, AnnounceError, Announcement, BoxFuture, Sleeper},
};

/// How often the end of an attempt is announced against writes of others, such as of labels.
const TRIES: usize = 5;

/// See the [module](self).
pub(crate) struct AppSleeper {
    pub(crate) client: Client,
    pub(crate) id: AppId,
    pub(crate) app: ClusterApp,
    /// As it was read when the decision began.
    pub(crate) object: ScaledApp,
    /// How its traffic reaches it. None if its Service is gone: there is no path then that it could leave.
    pub(crate) service: Option<ServiceView>,
    pub(crate) ports: Vec<PortStatus>,
    pub(crate) selector: String,
    pub(crate) activators: watch::Receiver<Arc<[ActivatorPod]>>,
    pub(crate) written: Written,
    /// What somebody asked for who wants it to sleep. None if it is idle.
    pub(crate) night: Option<Night>,
    /// Whether it is not to sleep any more.
    pub(crate) unwanted: watch::Sender<bool>,
}

/// Over which version of the object the status is written.
pub(crate) enum Written {
    /// In an attempt: over what the announcement before left, so that it can be made again for the same epoch. Then whoever
    /// settles that epoch, and had read the status before, cannot announce an end and has to fence once more. The lock is
    /// held for a copy only.
    InTurn(Mutex<Option<String>>),
    /// By whoever settles: over what was read before the fence.
    AsRead,
}

impl AppSleeper {
    fn apps(&self) -> Api<ScaledApp> {
        Api::namespaced(self.client.clone(), &self.id.namespace)
    }

    fn all_pods(&self) -> Api<Pod> {
        Api::namespaced(self.client.clone(), &self.id.namespace)
    }

    fn before(&self) -> ScaledAppStatus {
        self.object.status.clone().unwrap_or_default()
    }

    fn version_read(&self) -> String {
        self.object.metadata.resource_version.clone().unwrap_or_default()
    }

    /// A compare-and-set of the status as it was read when the decision began, or as this wrote it last.
    async fn begin(&self, epoch: u64, former: u32) -> Result<(), AnnounceError> {
        let last = match &self.written {
            Written::InTurn(last) => last.lock().unwrap_or_else(PoisonError::into_inner).clone(),
            Written::AsRead => None,
        };
        let version = last.unwrap_or_else(|| self.version_read());
        let mut patch = json!({
            "phase": Phase::FallingAsleep,
            "since": MicroTime(Timestamp::now()),
            "epoch": epoch,
            "formerReplicas": former,
            "wake": null,
        });
        if let Some(night) = &self.night {
            night.begins(&mut patch);
        }
        let after = status::write(&self.apps(), &self.id.name, &version, &patch).await.map_err(refused)?;
        if let Written::InTurn(last) = &self.written {
            *last.lock().unwrap_or_else(PoisonError::into_inner) = after.metadata.resource_version;
        }
        Ok(())
    }

    /// The end, only if the app is still falling asleep by that epoch.
    async fn end(&self, epoch: u64, phase: Phase, patch: &Value) -> Result<(), AnnounceError> {
        for _ in 0..TRIES {
            let now = self.apps().get_opt(&self.id.name).await.map_err(|error| unknown(&error))?;
            let Some(now) = now else { return Err(AnnounceError::Conflict) };
            let status = now.status.unwrap_or_default();
            let is_its = status.epoch == i64::try_from(epoch).ok();
            match status.phase {
                Some(Phase::FallingAsleep) if is_its => {}
                // A write whose answer was lost.
                Some(ended) if is_its && ended == phase => return Ok(()),
                _ => return Err(AnnounceError::Conflict),
            }
            let (version, once) = match self.written {
                Written::InTurn(_) => (now.metadata.resource_version.unwrap_or_default(), false),
                Written::AsRead => (self.version_read(), true),
            };
            match status::write(&self.apps(), &self.id.name, &version, patch).await.map_err(refused) {
                Err(AnnounceError::Conflict) if !once => {}
                other => return other.map(|_| ()),
            }
        }
        Err(AnnounceError::Unknown("it is written by others all the time".to_owned()))
    }

    /// What an attempt that was called off comes back to: a wake that failed is still one.
    fn as_before(&self) -> (Phase, Value) {
        let before = self.before();
        let phase = before.phase.filter(|phase| *phase == Phase::Waking).unwrap_or(Phase::Awake);
        let since = before.since.filter(|_| before.phase == Some(phase));
        (phase, json!({"phase": phase, "since": since.unwrap_or(MicroTime(Timestamp::now()))}))
    }

    async fn lead_to_activators(&self, service: &ServiceView) -> Result<(), String> {
        let activators = self.activators.borrow().clone();
        let ways =
            Ways { app: &self.object, service, ports: &self.ports, activators: &activators, pods: &[] };
        let wanted = traffic::slices(&ways, Lead::Activators);
        if wanted.takers == 0 {
            return Err("no activator is ready to take its traffic".to_owned());
        }
        let api: Api<EndpointSlice> = Api::namespaced(self.client.clone(), &self.id.namespace);
        for slice in &wanted.slices {
            apply::slice(&api, slice).await.map_err(|error| error.to_string())?;
        }
        Ok(())
    }
}

impl Sleeper for AppSleeper {
    fn id(&self) -> &AppId {
        &self.id
    }

    fn target(&self) -> &TargetSpec {
        &self.app.target
    }

    fn policy(&self) -> &Policy {
        &self.app.policy
    }

    fn mode(&self) -> TrafficMode {
        self.service.as_ref().map_or(TrafficMode::Proxy, |service| service.mode)
    }

    fn scrape(&self) -> Option<&Scrape> {
        self.app.scrape.as_ref()
    }

    fn pods(&self) -> BoxFuture<'_, Result<Vec<(String, SocketAddr)>, String>> {
        Box::pin(async {
            let Some(scrape) = &self.app.scrape else { return Ok(Vec::new()) };
            let pods =
                direct::list(&self.all_pods(), &self.selector).await.map_err(|error| error.to_string())?;
            let alive = pods.into_iter().filter(|pod| !pod.ending);
            alive.filter_map(|pod| scraped(&pod, &scrape.port, &self.ports).transpose()).collect()
        })
    }

    fn announce(&self, what: Announcement) -> BoxFuture<'_, Result<(), AnnounceError>> {
        Box::pin(async move {
            match what {
                Announcement::FallingAsleep { epoch, former } => self.begin(epoch, former).await,
                Announcement::Asleep { epoch } => {
                    let since = MicroTime(Timestamp::now());
                    let mut patch =
                        json!({"phase": Phase::Asleep, "since": since, "replicas": 0, "readyReplicas": 0});
                    if let Some(night) = &self.night {
                        night.is_there(&mut patch);
                    }
                    self.end(epoch, Phase::Asleep, &patch).await
                }
                Announcement::Awake { epoch } => {
                    let (phase, mut patch) = self.as_before();
                    if self.night.is_some() {
                        Night::is_called_off(&mut patch, &self.before());
                    }
                    self.end(epoch, phase, &patch).await
                }
            }
        })
    }

    fn leave_direct_path(&self, epoch: u64) -> BoxFuture<'_, Result<(), String>> {
        Box::pin(async move {
            let Some(service) = self.service.as_ref().filter(|one| one.mode == TrafficMode::Bypass) else {
                return Ok(());
            };
            // First there has to be another path.
            self.lead_to_activators(service).await?;
            direct::leave(&self.all_pods(), &self.selector, epoch).await.map_err(|error| error.to_string())
        })
    }

    fn is_unwanted(&self) -> BoxFuture<'_, ()> {
        let mut unwanted = self.unwanted.subscribe();
        Box::pin(async move {
            // Its sender is this itself.
            let _ = unwanted.wait_for(|unwanted| *unwanted).await;
        })
    }

    fn serves(&self) -> BoxFuture<'_, Result<bool, String>> {
        Box::pin(async {
            let pods =
                direct::list(&self.all_pods(), &self.selector).await.map_err(|error| error.to_string())?;
            Ok(pods.iter().any(PodView::serves))
        })
    }
}

/// Where a pod is scraped: none before it has an address. A port's name is that of the Service's port.
fn scraped(
    pod: &PodView,
    port: &PortRef,
    ports: &[PortStatus],
) -> Result<Option<(String, SocketAddr)>, String> {
    let Some(address) = pod.addresses.first() else { return Ok(None) };
    let of_service = |name: &String| {
        let port = ports.iter().find(|port| port.name.as_ref() == Some(name));
        port.map(|port| &port.upstream).ok_or_else(|| format!("idle.scrape: the Service has no port {name}"))
    };
    let target = match port {
        PortRef::Number(_) => port,
        PortRef::Name(name) => of_service(name)?,
    };
    let number = match target {
        PortRef::Number(number) => *number,
        PortRef::Name(name) => *pod
            .ports
            .get(name)
            .ok_or_else(|| format!("the pod {} has no port {name} to be scraped", pod.name))?,
    };
    Ok(Some((pod.name.clone(), SocketAddr::new(*address, number))))
}

fn refused(error: kube::Error) -> AnnounceError {
    match error {
        kube::Error::Api(status) if status.is_conflict() || status.is_not_found() => AnnounceError::Conflict,
        other => unknown(&other),
    }
}

fn unknown(error: &kube::Error) -> AnnounceError {
    AnnounceError::Unknown(error.to_string())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cluster::pods::from_json;

    #[test]
    fn pods_are_scraped_by_number_or_by_the_name_of_a_port_of_the_service() {
        let pod = from_json(json!({
            "metadata": {"name": "web-1"},
            "spec": {"containers": [{"name": "c", "ports": [{"name": "m", "containerPort": 9100}]}]},
            "status": {"podIP": "10.0.0.1"},
        }));
        let ports: Vec<PortStatus> = serde_json::from_value(json!([
            {"name": "metrics", "servicePort": 80, "port": 20000, "protocol": "http", "upstream": "m"},
            {"name": "other", "servicePort": 81, "port": 20001, "protocol": "http", "upstream": 8080},
            {"name": "lost", "servicePort": 82, "port": 20002, "protocol": "http", "upstream": "x"},
        ]))
        .unwrap();
        let at = |port: PortRef| {
            scraped(&pod, &port, &ports).map(|found| found.map(|(_, address)| address.to_string()))
        };
        let name = |name: &str| PortRef::Name(name.to_owned());
        assert_eq!(at(PortRef::Number(7)), Ok(Some("10.0.0.1:7".into())));
        assert_eq!(at(name("metrics")), Ok(Some("10.0.0.1:9100".into())));
        assert_eq!(at(name("other")), Ok(Some("10.0.0.1:8080".into())));
        assert!(at(name("lost")).is_err() && at(name("nope")).is_err());
    }
}
