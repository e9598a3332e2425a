//! Presets: what is known about a kind of server, as data.

use std::{fmt, time::Duration};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Readiness;

/// The kind of server that an app is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Preset {
    /// Any HTTP server. Ready when it accepts a connection.
    #[default]
    Http,
    /// NVIDIA Triton Inference Server: its readiness path, its health calls, time to load models.
    Triton,
}

/// What a preset fills in.
pub(super) struct PresetDefaults {
    /// Replaces the mode's deadline for a wake in a cluster.
    pub(super) wake_deadline: Option<Duration>,
    /// How to tell that it can answer.
    pub(super) readiness: Readiness,
    /// Paths that are probes.
    pub(super) probe_paths: &'static [&'static str],
}

/// Triton's calls that ask how it is and never run a model. From Triton's own clients: `tritonclient` and
/// `perf_analyzer` poll them before and between inferences.
const TRITON_PROBES: &[&str] = &["/v2/health/*", "/v2/models/stats"];

impl Preset {
    /// The name as it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Triton => "triton",
        }
    }

    pub(super) fn defaults(self) -> PresetDefaults {
        match self {
            Self::Http => PresetDefaults {
                wake_deadline: None,
                readiness: Readiness::Tcp { port: None },
                probe_paths: &[],
            },
            Self::Triton => PresetDefaults {
                wake_deadline: Some(Duration::from_secs(20 * 60)),
                readiness: Readiness::Http { port: None, path: "/v2/health/ready".into() },
                probe_paths: TRITON_PROBES,
            },
        }
    }
}

impl fmt::Display for Preset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
