//! What each field may be. Used by [`resolve`](super::PolicySpec::resolve) and by the schema of `ScaledApp`, so
//! that an API server refuses what `resolve` would.

use std::{ops::RangeInclusive, time::Duration};

use crate::quantity::ByteSize;

const MILLISECOND: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(86_400);

/// `idle.ttl`, if it is not `never`.
pub(crate) const TTL: RangeInclusive<Duration> = MILLISECOND.saturating_mul(100)..=DAY.saturating_mul(30);
/// `idle.minAwake`.
pub(crate) const MIN_AWAKE: RangeInclusive<Duration> = Duration::ZERO..=DAY.saturating_mul(30);
/// `wake.deadline`.
pub(crate) const DEADLINE: RangeInclusive<Duration> = SECOND..=DAY;
/// `wake.replicas` and `wake.maxReplicas`.
pub(crate) const REPLICAS: RangeInclusive<u32> = 1..=10_000;
/// `hold.maxRequests`.
pub(crate) const MAX_REQUESTS: RangeInclusive<u32> = 0..=1_000_000;
/// `hold.maxBytes`.
pub(crate) const MAX_BYTES: RangeInclusive<ByteSize> = ByteSize(0)..=ByteSize(16 << 30);
/// `hold.answerAfter`.
pub(crate) const ANSWER_AFTER: RangeInclusive<Duration> = SECOND..=DAY;
/// `timeouts.responseHeader`, `streamIdle` and `total`.
pub(crate) const TIMEOUT: RangeInclusive<Duration> = MILLISECOND.saturating_mul(10)..=DAY;
/// `concurrency`.
pub(crate) const CONCURRENCY: RangeInclusive<u32> = 1..=100_000;
