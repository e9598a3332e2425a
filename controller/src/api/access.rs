//! Whether a call comes with a key that is good, if one is asked for.
//!
//! Failures are bounded by address: so many at once, then one every few seconds is answered with 401 and logged, and
//! further ones with 429 and nothing more. A call with a good key always passes: many clients may share an address, and
//! one of them must not lock out the others. (Nor is it needed against guessing: a key has 256 bits.)

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, header};
use prometheus::{IntCounterVec, Opts, Registry};

use super::{
    ApiState,
    caller::{Caller, Peer, RequestId},
    problem::{Kind, Problem, escaped},
};
use crate::{
    clock::now,
    keys::{Key, KeyRing},
};

/// How many failures of an address are answered and logged at once.
const BURST: u32 = 10;

/// How long it takes until one more is.
const REFILL: Duration = Duration::from_secs(6);

/// How many addresses are remembered.
const MAX_ADDRESSES: usize = 4096;

/// The values of the metric label `reason`.
const REASONS: [&str; 4] = ["missing", "unknown", "forbidden", "limited"];

/// Who may call.
#[derive(Clone, Debug)]
pub struct Access {
    /// None: everybody.
    keys: Option<Arc<KeyRing>>,
    failures: IntCounterVec,
    limiter: Arc<Mutex<Limiter>>,
}

impl Access {
    /// Whoever has one of the keys; everybody, without keys.
    ///
    /// # Errors
    /// If the registry holds the metric of failures already.
    pub fn new(keys: Option<Arc<KeyRing>>, registry: &Registry) -> prometheus::Result<Self> {
        let opts = Opts::new(
            "reveille_api_auth_failures_total",
            "Calls of the API that were refused for their key, by reason.",
        );
        let failures = IntCounterVec::new(opts, &["reason"])?;
        for reason in REASONS {
            failures.with_label_values(&[reason]);
        }
        registry.register(Box::new(failures.clone()))?;
        Ok(Self { keys, failures, limiter: Arc::default() })
    }

    /// Whether the key is good still.
    pub(super) fn holds(&self, key: &Key) -> bool {
        self.keys.as_ref().is_none_or(|keys| keys.holds(key))
    }

    /// Counts a call that its key does not allow.
    pub(super) fn count_forbidden(&self) {
        self.failures.with_label_values(&["forbidden"]).inc();
    }

    fn identify(&self, headers: &HeaderMap, peer: IpAddr) -> Result<Option<Arc<Key>>, Problem> {
        let Some(keys) = &self.keys else { return Ok(None) };
        let (reason, detail, error) = match token(headers) {
            Some(told) => match keys.find(told) {
                Some(key) => return Ok(Some(key)),
                None => ("unknown", "the key is not known here", ", error=\"invalid_token\""),
            },
            None => ("missing", "this call needs a key", ""),
        };
        let limiter = &mut *self.limiter.lock().unwrap_or_else(PoisonError::into_inner);
        if !limiter.allows_failure(peer, now()) {
            self.failures.with_label_values(&["limited"]).inc();
            let detail = "too many calls without a good key from this address; try again later";
            return Err(Problem::new(Kind::TooManyFailures, detail).retry_after(REFILL.as_secs()));
        }
        self.failures.with_label_values(&[reason]).inc();
        let detail =
            format!("{detail}; send it as `Authorization: Bearer KEY` (`reveille key new` makes one)");
        Err(Problem::new(Kind::Unauthorized, detail).challenge(format!("Bearer realm=\"reveille\"{error}")))
    }
}

/// What stands in `Authorization: Bearer`, if it is there once (RFC 6750, section 2.1).
fn token(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return None };
    let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

/// Finds out who calls, and lets the call pass, or says why not.
pub(super) async fn identify(State(state): State<ApiState>, mut request: Request, next: Next) -> Response {
    let Peer(peer) = request.extensions().get().copied().unwrap_or(Peer::NONE);
    match state.access.identify(request.headers(), peer) {
        Ok(key) => {
            let request_id = request.extensions().get::<RequestId>().cloned();
            let request_id = request_id.unwrap_or_else(|| RequestId::of(request.headers()));
            request.extensions_mut().insert(Caller { peer, key, request_id });
            next.run(request).await
        }
        Err(problem) => {
            if problem.kind() == Kind::Unauthorized {
                let (method, path) = (request.method(), escaped(request.uri().path()));
                tracing::warn!(target: "reveille::audit", %peer, %method, path, "refused: {}", problem.detail());
            }
            problem.into_response()
        }
    }
}

/// The failures of each address: a bucket of [`BURST`], which fills again by one each [`REFILL`].
#[derive(Debug, Default)]
struct Limiter {
    /// When each bucket is full again.
    full_at: HashMap<IpAddr, Instant>,
}

impl Limiter {
    fn allows_failure(&mut self, peer: IpAddr, now: Instant) -> bool {
        let full_at = self.full_at.get(&network(peer)).copied().unwrap_or(now).max(now);
        let after = full_at + REFILL;
        if after.saturating_duration_since(now) > REFILL * BURST {
            return false;
        }
        if self.full_at.len() >= MAX_ADDRESSES {
            self.full_at.retain(|_, full_at| *full_at > now);
        }
        if self.full_at.len() >= MAX_ADDRESSES {
            // So many addresses at once: who is forgotten may fail a few times more.
            self.full_at.clear();
        }
        self.full_at.insert(network(peer), after);
        true
    }
}

/// What one client has of addresses: one of IPv4, 2^64 of IPv6.
fn network(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn failures_are_bounded_by_address_and_come_back_slowly() {
        let (mut limiter, start) = (Limiter::default(), now());
        let (one, other) = ("192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap());
        for _ in 0..BURST {
            assert!(limiter.allows_failure(one, start));
        }
        assert!(!limiter.allows_failure(one, start));
        assert!(limiter.allows_failure(other, start), "each address has its own");
        assert!(!limiter.allows_failure(one, start + REFILL - Duration::from_millis(1)));
        assert!(limiter.allows_failure(one, start + REFILL));
        assert!(!limiter.allows_failure(one, start + REFILL));
        assert_eq!(network("2001:db8::1:2:3:4".parse().unwrap()), network("2001:db8::".parse().unwrap()));
        assert_eq!(network("::ffff:192.0.2.1".parse().unwrap()), one);
        for n in 0..=MAX_ADDRESSES as u32 * 2 {
            limiter.allows_failure(std::net::Ipv4Addr::from(n).into(), start);
        }
        assert!(limiter.full_at.len() <= MAX_ADDRESSES);
    }
}
