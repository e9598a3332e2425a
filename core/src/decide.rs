//! The decision to let an app fall asleep: pure, so that every history can be tried.
//!
//! The invariant (checked by the property tests below): an app is put to sleep only on fresh reports from
//! every live activator, none of which shows work in flight, each of which was quiet for the whole TTL, and
//! while no veto stands.

use std::time::{Duration, Instant};

use crate::{
    activity::Activity,
    phase::Phase,
    policy::{Policy, Ttl},
};

/// A report older than this says nothing: the activator may have served since.
pub const REPORT_FRESH_FOR: Duration = Duration::from_secs(5);

/// When to look again if nothing but probes is in flight.
const PROBES_END_WITHIN: Duration = Duration::from_millis(250);

/// Never looks again sooner than this, however short the TTL.
pub const MIN_RECHECK: Duration = Duration::from_millis(10);

/// One live activator's last word on the app.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Report {
    /// It said this, at this time.
    Said {
        /// When the report arrived, on the controller's clock.
        at: Instant,
        /// What it said.
        activity: Activity,
    },
    /// It is live and has said nothing: its silence is a veto.
    Silent,
}

/// Everything that is known about an app at the time of the decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observed {
    /// Where the app stands.
    pub phase: Phase,
    /// Since when.
    pub since: Instant,
    /// Somebody asked that it stays awake until then.
    pub pinned_until: Option<Instant>,
    /// One entry for every live activator, draining ones included.
    pub reports: Vec<Report>,
}

/// Why an app stays as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stay {
    /// It is not awake, so there is nothing to put to sleep.
    NotAwake,
    /// `idle.ttl` is `never`.
    NeverSleeps,
    /// Somebody asked that it stays awake, and that time is not over.
    Pinned,
    /// Work is in flight.
    InFlight,
    /// The TTL has not passed since the last work, or since the app awoke.
    Recent,
    /// `idle.minAwake` has not passed.
    MinAwake,
    /// An activator is silent or its report is stale, or there is none.
    Unknown,
}

/// What to do about an app.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Put it to sleep.
    Sleep,
    /// Leave it. Look again after so long (or when something changes, if `None`).
    Stay {
        /// Why.
        why: Stay,
        /// When the answer could differ at the earliest.
        recheck_after: Option<Duration>,
    },
}

/// Decides whether the app may fall asleep.
pub fn decide(now: Instant, observed: &Observed, policy: &Policy) -> Decision {
    if observed.phase != Phase::Awake {
        return stay(Stay::NotAwake, None);
    }
    let Ttl::After(ttl) = policy.idle.ttl else { return stay(Stay::NeverSleeps, None) };
    if let Some(left) =
        observed.pinned_until.and_then(|until| left(until.saturating_duration_since(now), Duration::ZERO))
    {
        return stay(Stay::Pinned, Some(left));
    }
    let awake_for = now.saturating_duration_since(observed.since);
    if let Some(left) = left(policy.idle.min_awake, awake_for) {
        return stay(Stay::MinAwake, Some(left));
    }
    if observed.reports.is_empty() {
        return stay(Stay::Unknown, Some(REPORT_FRESH_FOR));
    }
    let mut quiet = awake_for;
    for report in &observed.reports {
        let Report::Said { at, activity } = report else {
            return stay(Stay::Unknown, Some(REPORT_FRESH_FOR));
        };
        let age = now.saturating_duration_since(*at);
        if age > REPORT_FRESH_FOR {
            return stay(Stay::Unknown, Some(REPORT_FRESH_FOR));
        }
        if activity.in_flight > 0 {
            // Probes alone end soon and do not begin the TTL anew.
            let only_probes = !activity.quiet.is_zero();
            return stay(Stay::InFlight, Some(if only_probes { ttl.min(PROBES_END_WITHIN) } else { ttl }));
        }
        // Nothing is added for the report's age: work may have come since it was made.
        quiet = quiet.min(activity.quiet);
    }
    match left(ttl, quiet) {
        Some(left) => stay(Stay::Recent, Some(left)),
        None => Decision::Sleep,
    }
}

/// What of `whole` is left after `passed`; `None` once it is over.
fn left(whole: Duration, passed: Duration) -> Option<Duration> {
    whole.checked_sub(passed).filter(|left| !left.is_zero())
}

fn stay(why: Stay, recheck_after: Option<Duration>) -> Decision {
    Decision::Stay { why, recheck_after: recheck_after.map(|d| d.max(MIN_RECHECK)) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::policy::{Mode, PolicySpec};

    fn policy(ttl: Ttl, min_awake: Duration) -> Policy {
        let mut policy = PolicySpec::default().resolve(Mode::Local).unwrap();
        policy.idle.ttl = ttl;
        policy.idle.min_awake = min_awake;
        policy
    }

    const TTL: Duration = Duration::from_secs(60);

    fn awake(since: Instant, reports: Vec<Report>) -> Observed {
        Observed { phase: Phase::Awake, since, pinned_until: None, reports }
    }

    fn quiet_for(quiet: Duration, now: Instant) -> Report {
        Report::Said { at: now, activity: Activity { started: 7, in_flight: 0, held: 0, quiet } }
    }

    #[test]
    fn sleeps_at_the_ttl_and_says_when_to_look_again_before_it() {
        let start = Instant::now();
        let now = start + Duration::from_secs(600);
        let policy = policy(Ttl::After(TTL), Duration::ZERO);
        let mut observed = awake(start, vec![quiet_for(TTL, now)]);
        assert_eq!(decide(now, &observed, &policy), Decision::Sleep);
        observed.reports = vec![quiet_for(Duration::from_secs(45), now)];
        let want = Decision::Stay { why: Stay::Recent, recheck_after: Some(Duration::from_secs(15)) };
        assert_eq!(decide(now, &observed, &policy), want);
    }

    #[test]
    fn an_app_that_nobody_called_after_its_wake_has_the_whole_ttl() {
        let start = Instant::now();
        let now = start + Duration::from_secs(10);
        let observed = awake(start, vec![quiet_for(Duration::from_secs(9_999), now)]);
        let decision = decide(now, &observed, &policy(Ttl::After(TTL), Duration::ZERO));
        let want = Decision::Stay { why: Stay::Recent, recheck_after: Some(Duration::from_secs(50)) };
        assert_eq!(decision, want);
    }

    #[test]
    fn a_pin_keeps_it_awake_and_no_longer() {
        let start = Instant::now();
        let now = start + Duration::from_secs(600);
        let policy = policy(Ttl::After(TTL), Duration::ZERO);
        let mut observed = awake(start, vec![quiet_for(TTL, now)]);
        observed.pinned_until = Some(now + Duration::from_secs(7));
        let want = Decision::Stay { why: Stay::Pinned, recheck_after: Some(Duration::from_secs(7)) };
        assert_eq!(decide(now, &observed, &policy), want);
        observed.pinned_until = Some(now);
        assert_eq!(decide(now, &observed, &policy), Decision::Sleep);
    }

    fn reports() -> impl Strategy<Value = Vec<Option<(u64, u64, u64)>>> {
        let said = (0u64..12_000, 0u64..2, 0u64..200_000);
        prop::collection::vec(prop::option::weighted(0.9, said), 0..4)
    }

    proptest! {
        /// The invariant of the module's head, in both directions.
        #[test]
        fn sleeps_exactly_when_idle(
            phase in prop::sample::select(Phase::ALL.to_vec()),
            awake_ms in 0u64..200_000,
            min_awake_ms in 0u64..100_000,
            ttl_ms in prop::option::weighted(0.9, 100u64..150_000),
            pin_ms in prop::option::weighted(0.3, 0u64..100_000),
            reports in reports(),
        ) {
            let now = Instant::now() + Duration::from_secs(1_000_000);
            let ms = Duration::from_millis;
            let ttl = ttl_ms.map_or(Ttl::Never, |t| Ttl::After(ms(t)));
            let observed = Observed {
                phase,
                since: now - ms(awake_ms),
                // As far in the past as in the future.
                pinned_until: pin_ms.map(|pin| now + ms(pin) - ms(50_000)),
                reports: reports.iter().map(|report| match report {
                    None => Report::Silent,
                    Some((age, in_flight, quiet)) => Report::Said {
                        at: now - ms(*age),
                        activity: Activity { started: 1, in_flight: *in_flight, held: 0, quiet: ms(*quiet) },
                    },
                }).collect(),
            };
            let idle = phase == Phase::Awake
                && awake_ms >= min_awake_ms
                && pin_ms.is_none_or(|pin| pin <= 50_000)
                && ttl_ms.is_some_and(|ttl| {
                    awake_ms >= ttl
                        && !reports.is_empty()
                        && reports.iter().all(|report| {
                            report.is_some_and(|(age, in_flight, quiet)| age <= 5_000 && in_flight == 0 && quiet >= ttl)
                        })
                });
            let decision = decide(now, &observed, &policy(ttl, ms(min_awake_ms)));
            prop_assert_eq!(decision == Decision::Sleep, idle, "{:?}", decision);
            if let Decision::Stay { recheck_after: Some(after), .. } = decision {
                prop_assert!(after >= MIN_RECHECK);
            }
        }

        /// Looking again at the time that was named, with nothing new, gives sleep: no app is forgotten.
        #[test]
        fn the_recheck_is_never_too_early_nor_too_late(quiet_ms in 0u64..60_000) {
            let start = Instant::now();
            let now = start + Duration::from_secs(1_000);
            let policy = policy(Ttl::After(TTL), Duration::ZERO);
            let quiet = Duration::from_millis(quiet_ms);
            let observed = awake(start, vec![quiet_for(quiet, now)]);
            let Decision::Stay { recheck_after: Some(after), .. } = decide(now, &observed, &policy) else {
                return Err(TestCaseError::fail("it has to wait"));
            };
            let later = now + after;
            let then = Observed { reports: vec![quiet_for(quiet + after, later)], ..observed };
            prop_assert_eq!(decide(later, &then, &policy), Decision::Sleep);
        }
    }
}
