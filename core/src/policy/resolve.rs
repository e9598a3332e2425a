//! From what is written to what holds: defaults by mode and preset, ranges, and every problem at once.

use std::{fmt, num::NonZeroU32, ops::RangeInclusive, sync::Arc, time::Duration};

use super::{
    Hold, Idle, Policy, PolicySpec, PortRef, Probes, Readiness, ReadinessSpec, Timeouts, Ttl, Wake,
    preset::PresetDefaults,
};
use crate::quantity::{ByteSize, HumanDuration};

/// Where an app runs: some defaults differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Processes on one machine.
    Local,
    /// Workloads of a Kubernetes cluster.
    Cluster,
}

/// One thing that is wrong with what was written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {reason}")]
pub struct Problem {
    /// The field, from the policy's root, such as `idle.ttl` or `probes.paths[2]`.
    pub field: String,
    /// What is wrong and what would be right.
    pub reason: String,
}

/// The protocol that every app may change to unless it says otherwise.
const WEBSOCKET: &str = "websocket";

const DAY: Duration = Duration::from_secs(86_400);
const SECOND: Duration = Duration::from_secs(1);
const MILLISECOND: Duration = Duration::from_millis(1);

impl PolicySpec {
    /// Fills in the defaults and checks every range.
    ///
    /// # Errors
    /// Every field that is wrong, each with its reason.
    pub fn resolve(&self, mode: Mode) -> Result<Policy, Vec<Problem>> {
        let mut check = Checker::default();
        let defaults = self.preset.defaults();
        let policy = Policy {
            preset: self.preset,
            idle: self.idle(mode, &mut check),
            wake: self.wake(mode, &defaults, &mut check),
            hold: self.hold(&mut check),
            probes: self.probes(&defaults, &mut check),
            timeouts: self.timeouts(&mut check),
            concurrency: self.concurrency.and_then(|n| {
                check.range("concurrency", n, 1..=100_000);
                NonZeroU32::new(n)
            }),
            upgrades: Arc::from([WEBSOCKET.to_owned()]),
        };
        if check.problems.is_empty() { Ok(policy) } else { Err(check.problems) }
    }

    fn idle(&self, mode: Mode, check: &mut Checker) -> Idle {
        let ttl = self.idle.ttl.unwrap_or(match mode {
            Mode::Local => Ttl::After(Duration::from_secs(60)),
            Mode::Cluster => Ttl::After(Duration::from_secs(300)),
        });
        if let Ttl::After(after) = ttl {
            let range = 100 * MILLISECOND..=30 * DAY;
            if !range.contains(&after) {
                check.problem("idle.ttl", format!("{} is out of range: 100ms to 30d, or never", ttl));
            }
        }
        let min_awake = check.duration("idle.minAwake", self.idle.min_awake, Duration::ZERO..=30 * DAY);
        Idle { ttl, min_awake: min_awake.unwrap_or(Duration::ZERO) }
    }

    fn wake(&self, mode: Mode, preset: &PresetDefaults, check: &mut Checker) -> Wake {
        let deadline = check.duration("wake.deadline", self.wake.deadline, SECOND..=DAY);
        let default = match mode {
            Mode::Local => 60 * SECOND,
            Mode::Cluster => preset.wake_deadline.unwrap_or(300 * SECOND),
        };
        let readiness = match &self.wake.readiness {
            None => preset.readiness.clone(),
            Some(spec) => check.readiness(spec).unwrap_or_else(|| preset.readiness.clone()),
        };
        Wake { deadline: deadline.unwrap_or(default), readiness }
    }

    fn hold(&self, check: &mut Checker) -> Hold {
        let max_requests = self.hold.max_requests.unwrap_or(1_000);
        check.range("hold.maxRequests", max_requests, 0..=1_000_000);
        let max_bytes = self.hold.max_bytes.unwrap_or(ByteSize(64 << 20));
        check.range("hold.maxBytes", max_bytes, ByteSize(0)..=ByteSize(16 << 30));
        let answer_after = check.duration("hold.answerAfter", self.hold.answer_after, SECOND..=DAY);
        Hold { max_requests, max_bytes: max_bytes.0, answer_after }
    }

    fn probes(&self, preset: &PresetDefaults, check: &mut Checker) -> Probes {
        for (i, path) in self.probes.paths.iter().enumerate() {
            if !path.starts_with('/') {
                check.problem(format!("probes.paths[{i}]"), format!("{path:?} does not begin with '/'"));
            }
        }
        for (i, agent) in self.probes.user_agents.iter().enumerate() {
            if agent.trim().is_empty() {
                check.problem(
                    format!("probes.userAgents[{i}]"),
                    "an empty prefix would make every call a probe",
                );
            }
        }
        let preset_paths = preset.probe_paths.iter().map(ToString::to_string);
        Probes {
            paths: preset_paths.chain(self.probes.paths.iter().cloned()).collect(),
            user_agents: self.probes.user_agents.clone(),
            answer: self.probes.answer,
        }
    }

    fn timeouts(&self, check: &mut Checker) -> Timeouts {
        let range = 10 * MILLISECOND..=DAY;
        let spec = &self.timeouts;
        Timeouts {
            response_header: check.duration("timeouts.responseHeader", spec.response_header, range.clone()),
            stream_idle: check.duration("timeouts.streamIdle", spec.stream_idle, range.clone()),
            total: check.duration("timeouts.total", spec.total, range),
        }
    }
}

/// Collects problems.
#[derive(Default)]
struct Checker {
    problems: Vec<Problem>,
}

impl Checker {
    fn problem(&mut self, field: impl Into<String>, reason: impl Into<String>) {
        self.problems.push(Problem { field: field.into(), reason: reason.into() });
    }

    fn range<T: PartialOrd + fmt::Display + Copy>(
        &mut self,
        field: &str,
        value: T,
        range: RangeInclusive<T>,
    ) {
        if !range.contains(&value) {
            self.problem(field, format!("{value} is out of range: {} to {}", range.start(), range.end()));
        }
    }

    fn duration(
        &mut self,
        field: &str,
        value: Option<HumanDuration>,
        range: RangeInclusive<Duration>,
    ) -> Option<Duration> {
        let value = value?;
        self.range(field, value, HumanDuration(*range.start())..=HumanDuration(*range.end()));
        Some(value.0)
    }

    fn readiness(&mut self, spec: &ReadinessSpec) -> Option<Readiness> {
        let readiness = match (&spec.http, &spec.tcp) {
            (Some(http), None) => Readiness::Http { port: http.port.clone(), path: http.path.clone() },
            (None, Some(tcp)) => Readiness::Tcp { port: tcp.port.clone() },
            (None, None) => {
                self.problem("wake.readiness", "say how: http: {path: /healthz} or tcp: {}");
                return None;
            }
            (Some(_), Some(_)) => {
                self.problem("wake.readiness", "http and tcp exclude each other: keep one");
                return None;
            }
        };
        if let Readiness::Http { path, .. } = &readiness {
            let valid = path.starts_with('/') && path.bytes().all(|b| b.is_ascii_graphic() && b != b'#');
            if !valid {
                self.problem(
                    "wake.readiness.http.path",
                    format!("{path:?} is no path: it begins with '/' and has no blanks"),
                );
            }
        }
        if readiness.port() == Some(&PortRef::Number(0)) {
            self.problem("wake.readiness", "0 is no port");
        }
        Some(readiness)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::policy::Preset;

    fn spec(json: &str) -> PolicySpec {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn defaults_are_those_of_the_reference() {
        let local = PolicySpec::default().resolve(Mode::Local).unwrap();
        assert_eq!(local.idle, Idle { ttl: Ttl::After(60 * SECOND), min_awake: Duration::ZERO });
        assert_eq!(local.wake.deadline, 60 * SECOND);
        assert_eq!(local.wake.readiness, Readiness::Tcp { port: None });
        assert_eq!(local.hold, Hold { max_requests: 1_000, max_bytes: 64 << 20, answer_after: None });
        assert_eq!(local.timeouts, Timeouts::default());
        assert_eq!(local.concurrency, None);
        let cluster = PolicySpec::default().resolve(Mode::Cluster).unwrap();
        assert_eq!(cluster.idle.ttl, Ttl::After(300 * SECOND));
        assert_eq!(cluster.wake.deadline, 300 * SECOND);
        let triton = PolicySpec { preset: Preset::Triton, ..PolicySpec::default() };
        let triton = triton.resolve(Mode::Cluster).unwrap();
        assert_eq!(triton.wake.deadline, 1200 * SECOND);
        assert_eq!(triton.wake.readiness, Readiness::Http { port: None, path: "/v2/health/ready".into() });
    }

    #[test]
    fn every_problem_is_named_at_once() {
        let spec = spec(
            r#"{"idle": {"ttl": "50ms", "minAwake": "31d"},
                "wake": {"deadline": "500ms", "readiness": {"http": {"path": "health"}}},
                "hold": {"maxRequests": 2000000, "maxBytes": "17Gi", "answerAfter": "10ms"},
                "probes": {"paths": ["/ok", "bad"], "userAgents": [" "]},
                "timeouts": {"responseHeader": "1ms", "streamIdle": "25h", "total": "2d"},
                "concurrency": 0}"#,
        );
        let problems = spec.resolve(Mode::Local).unwrap_err();
        let fields: Vec<_> = problems.iter().map(|p| p.field.as_str()).collect();
        assert_eq!(
            fields,
            [
                "idle.ttl",
                "idle.minAwake",
                "wake.deadline",
                "wake.readiness.http.path",
                "hold.maxRequests",
                "hold.maxBytes",
                "hold.answerAfter",
                "probes.paths[1]",
                "probes.userAgents[0]",
                "timeouts.responseHeader",
                "timeouts.streamIdle",
                "timeouts.total",
                "concurrency",
            ]
        );
        assert_eq!(problems[0].to_string(), "idle.ttl: 50ms is out of range: 100ms to 30d, or never");
    }

    #[test]
    fn readiness_is_one_of_two() {
        let both = spec(r#"{"wake": {"readiness": {"http": {"path": "/"}, "tcp": {}}}}"#);
        assert!(both.resolve(Mode::Local).unwrap_err()[0].reason.contains("exclude each other"));
        let none = spec(r#"{"wake": {"readiness": {}}}"#);
        assert!(none.resolve(Mode::Local).unwrap_err()[0].reason.contains("say how"));
    }

    #[test]
    fn unknown_fields_are_refused() {
        assert!(serde_json::from_str::<PolicySpec>(r#"{"idel": {}}"#).is_err());
        assert!(serde_json::from_str::<PolicySpec>(r#"{"idle": {"tll": "1s"}}"#).is_err());
    }

    proptest! {
        /// What resolves is within the ranges; what does not names a field.
        #[test]
        fn ranges_hold(ttl in 0u64..3_000_000_000, deadline in 0u64..100_000_000, concurrency in prop::option::of(0u32..200_000)) {
            let ms = Duration::from_millis;
            let mut spec = PolicySpec { concurrency, ..PolicySpec::default() };
            spec.idle.ttl = Some(Ttl::After(ms(ttl)));
            spec.wake.deadline = Some(HumanDuration(ms(deadline)));
            match spec.resolve(Mode::Local) {
                Ok(policy) => {
                    prop_assert!((100..=2_592_000_000).contains(&ttl));
                    prop_assert!((1_000..=86_400_000).contains(&deadline));
                    prop_assert_eq!(policy.concurrency.map(NonZeroU32::get), concurrency);
                }
                Err(problems) => prop_assert!(problems.iter().all(|p| !p.field.is_empty() && !p.reason.is_empty())),
            }
        }
    }
}
