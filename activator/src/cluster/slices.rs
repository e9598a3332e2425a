//! What an app's slices show: its pods, as the API server last said it, by a list or by the watch.
//!
//! Two sources, one truth: a direct list of one app may be ahead of the watch, and what the watch brings later about
//! earlier must not undo it. So the version of the last list is remembered, and whatever is not newer is passed over.
//! Versions are compared as numbers, which Kubernetes promises since 1.35 and etcd has always done.
//!
//! Only the fields that are used are kept: a fleet of large apps must not cost memory for what nobody reads.

use std::{
    collections::{BTreeMap, HashSet},
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use k8s_openapi::api::discovery::v1 as k8s;
use reveille_core::{
    app::AppId,
    directory::{Endpoint, NO_PORT},
    resource::names::{self, private_port},
};

/// By which Service a slice was made.
const SERVICE_NAME: &str = "kubernetes.io/service-name";

/// A `resourceVersion`; none if it is no number.
pub(crate) type Version = Option<u64>;

/// Reads a `resourceVersion`.
pub(crate) fn version(text: Option<&String>) -> Version {
    text.and_then(|text| text.parse().ok())
}

/// Whether what has version `what` was known already at `listed`.
fn is_old(what: Version, listed: Version) -> bool {
    matches!((what, listed), (Some(what), Some(listed)) if what <= listed)
}

/// One slice, without what nobody reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Slice {
    version: Version,
    /// By name, each with its number.
    ports: Vec<(String, u16)>,
    members: Vec<Member>,
}

/// A pod in a slice.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Member {
    generation: u64,
    address: IpAddr,
    ready: bool,
    terminating: bool,
}

/// All slices of an app at one time.
#[derive(Clone, Debug, Default)]
pub(crate) struct SliceList {
    pub(crate) version: Version,
    pub(crate) slices: Vec<(String, Slice)>,
}

/// See the [module](self).
#[derive(Clone, Debug, Default)]
pub(crate) struct Slices {
    by_name: BTreeMap<String, Slice>,
    /// The version of the last direct list.
    listed: Version,
    relist: Option<Relist>,
    /// Pods that only look like the app's, by their generation: as if they were not there.
    foreign: HashSet<u64>,
}

/// The watch begins anew, with everything that there is.
#[derive(Clone, Debug)]
struct Relist {
    seen: HashSet<String>,
    /// The last direct list when it began.
    listed: Version,
}

impl Slice {
    /// Whose slice it is, its name, and what is used of it. None for one that says nothing about an app's pods: those
    /// that lead to the activators, and those of other Services that carry the label.
    pub(crate) fn read(slice: &k8s::EndpointSlice) -> Option<(AppId, String, Self)> {
        let labels = slice.metadata.labels.as_ref()?;
        let app = labels.get(names::APP_LABEL)?;
        if *labels.get(SERVICE_NAME)? != names::private_service(app) {
            return None;
        }
        let id = AppId::new(slice.metadata.namespace.as_deref()?, app);
        let ports = slice.ports.iter().flatten().filter_map(|port| {
            Some((port.name.clone()?, u16::try_from(port.port?).ok().filter(|number| *number > 0)?))
        });
        let members = slice.endpoints.iter().flatten().filter_map(Member::read);
        let version = version(slice.metadata.resource_version.as_ref());
        let read = Self { version, ports: ports.collect(), members: members.collect() };
        Some((id, slice.metadata.name.clone()?, read))
    }

    /// Where a pod has each of these ports; none if it has none of them.
    fn addresses(&self, ports: &[u16], address: IpAddr) -> Option<Arc<[SocketAddr]>> {
        let number = |service_port: &u16| {
            let name = private_port(*service_port);
            let known = self.ports.iter().find(|(other, _)| *other == name);
            SocketAddr::new(address, known.map_or(NO_PORT, |(_, number)| *number))
        };
        let addresses: Arc<[SocketAddr]> = ports.iter().map(number).collect();
        addresses.iter().any(|address| address.port() != NO_PORT).then_some(addresses)
    }
}

impl Member {
    fn read(endpoint: &k8s::Endpoint) -> Option<Self> {
        // All addresses of an endpoint are the same to clients; Kubernetes itself goes by the first.
        let address: IpAddr = endpoint.addresses.first()?.parse().ok()?;
        let uid = endpoint.target_ref.as_ref().and_then(|pod| pod.uid.clone());
        let conditions = endpoint.conditions.as_ref();
        Some(Self {
            generation: generation(&uid.unwrap_or_else(|| address.to_string())),
            address,
            // Left out means ready, by the API's own words.
            ready: conditions.and_then(|c| c.ready).unwrap_or(true),
            terminating: conditions.and_then(|c| c.terminating).unwrap_or(false),
        })
    }
}

impl Slices {
    /// Takes over a direct list. One that is older than another that was taken over is passed over.
    pub(crate) fn replace(&mut self, list: SliceList) {
        if matches!((list.version, self.listed), (Some(new), Some(known)) if new < known) {
            return;
        }
        self.listed = list.version;
        self.by_name = list.slices.into_iter().collect();
    }

    /// The watch says how a slice is. Returns whether that is news.
    pub(crate) fn heard(&mut self, name: &str, slice: Slice) -> bool {
        if let Some(relist) = &mut self.relist {
            relist.seen.insert(name.to_owned());
        }
        let known = self.by_name.get(name);
        if is_old(slice.version, self.listed)
            || known.is_some_and(|known| is_old(slice.version, known.version))
        {
            return false;
        }
        self.by_name.insert(name.to_owned(), slice);
        true
    }

    /// The watch says that a slice is gone. Returns whether that is news.
    pub(crate) fn heard_gone(&mut self, name: &str, version: Version) -> bool {
        !is_old(version, self.listed) && self.by_name.remove(name).is_some()
    }

    /// The watch begins anew.
    pub(crate) fn relist_begins(&mut self) {
        self.relist = Some(Relist { seen: HashSet::new(), listed: self.listed });
    }

    /// The watch has said everything that there is: what it left out is gone. Returns whether that is news.
    ///
    /// If a direct list came in between, nobody can tell which of the two is newer: then the error says that another
    /// list has to.
    pub(crate) fn relist_ends(&mut self) -> Result<bool, Unsure> {
        let Some(relist) = self.relist.take() else { return Ok(false) };
        let left_out: Vec<_> =
            self.by_name.keys().filter(|name| !relist.seen.contains(*name)).cloned().collect();
        if left_out.is_empty() {
            return Ok(false);
        }
        if relist.listed != self.listed {
            return Err(Unsure);
        }
        for name in left_out {
            self.by_name.remove(&name);
        }
        Ok(true)
    }

    /// These only look like the app's.
    pub(crate) fn leave_out(&mut self, foreign: &HashSet<u64>) {
        self.foreign.clone_from(foreign);
    }

    /// Whether nothing is known.
    pub(crate) fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }

    /// Whether a pod is shown that is not terminating.
    pub(crate) fn show_life(&self) -> bool {
        self.members().any(|(_, member)| !member.terminating)
    }

    /// The pods that are not terminating and have one of these ports of the Service, in the order of the ports. A pod
    /// with addresses of both families is one, by its IPv4 address.
    pub(crate) fn endpoints(&self, ports: &[u16]) -> Vec<Endpoint> {
        let terminating: HashSet<u64> =
            self.members().filter(|(_, member)| member.terminating).map(|(_, m)| m.generation).collect();
        let mut found: BTreeMap<u64, (bool, Endpoint)> = BTreeMap::new();
        for (slice, member) in self.members() {
            if ports.is_empty() || terminating.contains(&member.generation) {
                continue;
            }
            let Some(addresses) = slice.addresses(ports, member.address) else { continue };
            let Member { generation, ready, .. } = *member;
            let is_v4 = member.address.is_ipv4();
            let known = found.get(&generation);
            if known.is_none_or(|(known_is_v4, _)| is_v4 && !known_is_v4) {
                found.insert(generation, (is_v4, Endpoint { generation, addresses, ready }));
            }
        }
        found.into_values().map(|(_, endpoint)| endpoint).collect()
    }

    fn members(&self) -> impl Iterator<Item = (&Slice, &Member)> {
        let all = self.by_name.values();
        let all = all.flat_map(|slice| slice.members.iter().map(move |member| (slice, member)));
        all.filter(|(_, member)| !self.foreign.contains(&member.generation))
    }
}

/// Nobody can tell what there is: see [`Slices::relist_ends`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unsure;

/// What a pod is named by here, from its unique id. FNV-1a, 64 bits: the same in every slice, and in every run.
pub(crate) fn generation(text: &str) -> u64 {
    text.bytes()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
#[path = "slices_tests.rs"]
mod tests;

/// Slices for tests of what goes by them.
#[cfg(test)]
pub(crate) mod testing {
    use super::{IpAddr, Member, Slice, SliceList, Slices, generation};

    /// One pod with the port `p80`, of another uid in each version, or nothing.
    fn slice(version: u64, life: bool) -> Slice {
        let member = Member {
            generation: generation(&version.to_string()),
            address: IpAddr::from([127, 0, 0, 1]),
            ready: true,
            terminating: false,
        };
        Slice {
            version: Some(version),
            ports: vec![("p80".into(), 8080)],
            members: life.then_some(member).into_iter().collect(),
        }
    }

    pub(crate) fn list(version: u64, life: bool) -> SliceList {
        SliceList { version: Some(version), slices: vec![("web-1".into(), slice(version, life))] }
    }

    pub(crate) fn hear(slices: &mut Slices, version: u64, life: bool) {
        slices.heard("web-1", slice(version, life));
    }

    pub(crate) fn one(version: u64, life: bool) -> (String, Slice) {
        ("web-1".into(), slice(version, life))
    }
}
