//! Defaults, ranges, and every problem at once.

use proptest::prelude::*;

use super::*;
use crate::{
    policy::{Preset, Readiness},
    quantity::HumanDuration,
};

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
    assert_eq!(*local.upgrades, ["websocket".to_owned()]);
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
            "concurrency": 0, "upgrades": ["h2c"]}"#,
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
            "upgrades[0]",
        ]
    );
    assert_eq!(problems[0].to_string(), "idle.ttl: 50ms is out of range: 100ms to 30d, or never");
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
