//! From what is written to what holds: defaults by mode and preset, ranges, and every problem at once.

use std::{num::NonZeroU32, time::Duration};

use super::{
    Hold, Idle, Policy, PolicySpec, Probes, Timeouts, Ttl, Wake,
    checker::{Checker, Problem},
    preset::PresetDefaults,
    ranges,
};
use crate::{
    probes::Pattern,
    quantity::{ByteSize, HumanDuration},
};

/// Where an app runs: some defaults differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Processes on one machine.
    Local,
    /// Workloads of a Kubernetes cluster.
    Cluster,
}

const SECOND: Duration = Duration::from_secs(1);

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
                check.range("concurrency", n, ranges::CONCURRENCY);
                NonZeroU32::new(n)
            }),
            upgrades: check.upgrades(self.upgrades.as_deref()),
            cost: self.cost.as_ref().and_then(|cost| {
                cost.resolve().map_err(|reason| check.problem("cost.perReplicaHour", reason)).ok()
            }),
        };
        check.finish(policy)
    }

    fn idle(&self, mode: Mode, check: &mut Checker) -> Idle {
        let ttl = self.idle.ttl.unwrap_or(match mode {
            Mode::Local => Ttl::After(Duration::from_secs(60)),
            Mode::Cluster => Ttl::After(Duration::from_secs(300)),
        });
        if let Ttl::After(after) = ttl {
            let (range, show) = (ranges::TTL, HumanDuration);
            if !range.contains(&after) {
                let (from, to) = (show(*range.start()), show(*range.end()));
                check.problem("idle.ttl", format!("{ttl} is out of range: {from} to {to}, or never"));
            }
        }
        let min_awake = check.duration("idle.minAwake", self.idle.min_awake, ranges::MIN_AWAKE);
        Idle { ttl, min_awake: min_awake.unwrap_or(Duration::ZERO) }
    }

    fn wake(&self, mode: Mode, preset: &PresetDefaults, check: &mut Checker) -> Wake {
        let deadline = check.duration("wake.deadline", self.wake.deadline, ranges::DEADLINE);
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
        check.range("hold.maxRequests", max_requests, ranges::MAX_REQUESTS);
        let max_bytes = self.hold.max_bytes.unwrap_or(ByteSize(64 << 20));
        check.range("hold.maxBytes", max_bytes, ranges::MAX_BYTES);
        let answer_after = check.duration("hold.answerAfter", self.hold.answer_after, ranges::ANSWER_AFTER);
        Hold { max_requests, max_bytes: max_bytes.0, answer_after }
    }

    fn probes(&self, preset: &PresetDefaults, check: &mut Checker) -> Probes {
        let preset_paths = preset.probe_paths.iter();
        let mut paths: Vec<_> =
            preset_paths.map(|path| Pattern::new(path).expect("presets hold valid patterns")).collect();
        for (i, path) in self.probes.paths.iter().enumerate() {
            match Pattern::new(path) {
                Ok(pattern) => paths.push(pattern),
                Err(reason) => check.problem(format!("probes.paths[{i}]"), reason),
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
        Probes { paths, user_agents: self.probes.user_agents.clone(), answer: self.probes.answer }
    }

    fn timeouts(&self, check: &mut Checker) -> Timeouts {
        let (spec, range) = (&self.timeouts, ranges::TIMEOUT);
        Timeouts {
            response_header: check.duration("timeouts.responseHeader", spec.response_header, range.clone()),
            stream_idle: check.duration("timeouts.streamIdle", spec.stream_idle, range.clone()),
            total: check.duration("timeouts.total", spec.total, range),
        }
    }
}

#[cfg(test)]
#[path = "resolve_tests.rs"]
mod tests;
