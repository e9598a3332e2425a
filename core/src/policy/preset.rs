//! Presets: what is known about a kind of server, as data.

use std::{fmt, time::Duration};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Readiness;
use crate::{directory::Protocol, probes::triton};

/// The kind of server that an app is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Preset {
    /// Any HTTP server. Ready when it accepts a connection.
    #[default]
    Http,
    /// Any gRPC server. Ready when `grpc.health.v1` says so, or is not implemented.
    Grpc,
    /// NVIDIA Triton Inference Server: its readiness path, its health calls, time to load models.
    Triton,
    /// Any other server: its bytes are passed on as they are. Ready when it accepts a connection.
    Tcp,
}

/// What a preset fills in.
pub(super) struct PresetDefaults {
    /// Replaces the mode's deadline for a wake in a cluster.
    pub(super) wake_deadline: Option<Duration>,
    /// How to tell that it can answer.
    pub(super) readiness: Readiness,
    /// Patterns of the paths that are probes.
    pub(super) probe_paths: Vec<String>,
}

impl Preset {
    /// Every one.
    pub const ALL: [Self; 4] = [Self::Http, Self::Grpc, Self::Triton, Self::Tcp];

    /// The name as it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Grpc => "grpc",
            Self::Triton => "triton",
            Self::Tcp => "tcp",
        }
    }

    /// How a port speaks that does not say how.
    pub fn default_protocol(self) -> Protocol {
        match self {
            Self::Http | Self::Grpc | Self::Triton => Protocol::Http,
            Self::Tcp => Protocol::Tcp,
        }
    }

    pub(super) fn defaults(self) -> PresetDefaults {
        let of = |readiness| PresetDefaults { wake_deadline: None, readiness, probe_paths: Vec::new() };
        match self {
            Self::Http | Self::Tcp => of(Readiness::Tcp { port: None }),
            Self::Grpc => of(Readiness::Grpc { port: None, service: String::new() }),
            Self::Triton => PresetDefaults {
                wake_deadline: Some(Duration::from_secs(20 * 60)),
                readiness: Readiness::Http { port: None, path: "/v2/health/ready".into() },
                probe_paths: triton::probe_paths(),
            },
        }
    }
}

impl fmt::Display for Preset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{Mode, PolicySpec};

    #[test]
    fn presets_fill_in_what_the_reference_says() {
        let tcp = Readiness::Tcp { port: None };
        let grpc = Readiness::Grpc { port: None, service: String::new() };
        let triton = Readiness::Http { port: None, path: "/v2/health/ready".into() };
        for (preset, protocol, readiness, minutes) in [
            (Preset::Http, Protocol::Http, tcp.clone(), 5),
            (Preset::Grpc, Protocol::Http, grpc, 5),
            (Preset::Triton, Protocol::Http, triton, 20),
            (Preset::Tcp, Protocol::Tcp, tcp, 5),
        ] {
            let policy = PolicySpec { preset, ..PolicySpec::default() }.resolve(Mode::Cluster).unwrap();
            assert_eq!(preset.default_protocol(), protocol, "{preset}");
            assert_eq!(policy.wake.readiness, readiness, "{preset}");
            assert_eq!(policy.wake.deadline, Duration::from_secs(minutes * 60), "{preset}");
            assert_eq!(policy.probes.paths.is_empty(), preset != Preset::Triton, "{preset}");
        }
    }

    #[test]
    fn presets_are_written_as_they_are_named() {
        for preset in Preset::ALL {
            assert_eq!(serde_json::to_value(preset).unwrap(), preset.as_str());
        }
    }
}
