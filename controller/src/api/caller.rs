//! Who calls: the address, the key, and what that may do.

use std::{
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
};

use axum::extract::FromRequestParts;
use http::{HeaderMap, HeaderName, request::Parts};

use super::{
    ApiState,
    problem::{Kind, Problem},
};
use crate::keys::{Key, Right};

/// Names a call in the log and in the answer.
pub(super) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The longest request id that is taken over from a client.
const REQUEST_ID_MAX: usize = 128;

/// The address of the other end of a connection, put into each of its requests.
#[derive(Clone, Copy, Debug)]
pub(super) struct Peer(pub(super) IpAddr);

impl Peer {
    /// Of a request that came over no connection, as in tests: an address that nobody has.
    pub(super) const NONE: Self = Self(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
}

/// The id of a request.
#[derive(Clone, Debug)]
pub(super) struct RequestId(pub(super) Arc<str>);

impl RequestId {
    /// The client's, if it is fit to stand in a log line; else a new one.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let theirs = headers.get(REQUEST_ID).and_then(|value| value.to_str().ok());
        let fit = |id: &&str| {
            (1..=REQUEST_ID_MAX).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic())
        };
        Self(match theirs.filter(fit) {
            Some(id) => id.into(),
            None => format!("{:032x}", fastrand::u128(..)).into(),
        })
    }
}

/// Who calls.
#[derive(Clone, Debug)]
pub(super) struct Caller {
    /// From where.
    pub(super) peer: IpAddr,
    /// With which key; none where none is asked for.
    pub(super) key: Option<Arc<Key>>,
    /// Which call it is.
    pub(super) request_id: RequestId,
}

impl Caller {
    /// The name for the log.
    pub(super) fn name(&self) -> &str {
        self.key.as_ref().map_or("anonymous", |key| &key.name)
    }

    /// Whether it may see apps of that namespace.
    pub(super) fn may_read(&self, namespace: &str) -> bool {
        self.key.as_ref().is_none_or(|key| key.namespaces.hold(namespace))
    }

    /// Lets it do that in a namespace, or says why not.
    pub(super) fn check(&self, right: Right, namespace: &str) -> Result<(), Problem> {
        let Some(key) = &self.key else { return Ok(()) };
        let (name, good_in) = (&key.name, &key.namespaces);
        if !good_in.hold(namespace) {
            let detail =
                format!("the key {name} is not good for the namespace {namespace}; it is for {good_in}");
            return Err(Problem::new(Kind::Forbidden, detail));
        }
        if key.right < right {
            let detail = format!(
                "the key {name} may only read in the namespace {namespace}; this call needs one that may scale"
            );
            return Err(Problem::new(Kind::Forbidden, detail));
        }
        Ok(())
    }
}

impl FromRequestParts<ApiState> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &ApiState) -> Result<Self, Problem> {
        // Put there by `access::identify`, which stands before every route that asks for it.
        parts.extensions.get::<Self>().cloned().ok_or_else(|| {
            Problem::new(Kind::Internal, "the call passed no check of its key; this is a fault in Reveille")
        })
    }
}
