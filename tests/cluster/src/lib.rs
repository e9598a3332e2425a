//! The harness of the tests in a cluster: starts a real Kubernetes, as its own programs in a sandbox of this machine, and
//! holds its parts so that tests can use, stop and break them.
//!
//! It is black-box on purpose: nothing here links the product, which is a program in an image. A broken harness panics with what was being done.
//!
//! | module | holds |
//! |---|---|
//! | [`need`] | whether this machine can run it |
//! | [`sandbox`] | network, mounts and processes of its own |
//! | [`cluster`] | the handle that tests have |
//! | [`reveille`] | the product, installed by its chart |
//! | [`metrics`] | what it counts |
//! | [`product`] | its program, built before all |
//! | [`namespace`] | a namespace for each test |
//! | [`pod`] | being a client in a pod |
//! | [`load`] | many clients in one, that count what fails |
//! | [`image`] | images made of this machine's programs |
//! | [`node`] | nodes, each with its kubelet and its containerd |
//! | [`autoscaler`] | a stand-in for the cluster autoscaler |
//! | [`scaled_app`] | a `ScaledApp` as its users see it |
//! | [`runner`] | tests that share one cluster |
//! | [`report`] | the figures, for the end of a run |
//! | [`process`] | programs and tools |
//! | [`places`] | where things are |
//! | [`wait`] | waiting for conditions, never for time |
//! | [`workload`] | manifests |

pub mod autoscaler;
pub mod cluster;
mod control_plane;
mod credentials;
mod dump;
pub mod image;
pub mod load;
pub mod metrics;
pub mod namespace;
pub mod need;
pub mod node;
pub mod places;
pub mod pod;
pub mod process;
pub mod product;
pub mod report;
pub mod reveille;
pub mod runner;
pub mod sandbox;
pub mod scale_api;
pub mod scaled_app;
mod tools;
pub mod wait;
pub mod workload;

pub use autoscaler::{Autoscaler, Pool};
pub use cluster::Cluster;
pub use credentials::User;
pub use image::Image;
pub use load::{Connections, Load, Plan, Tally};
pub use metrics::Metrics;
pub use namespace::Namespace;
pub use node::NodeSpec;
pub use pod::Network;
pub use reveille::Reveille;
pub use runner::{Context, Test};
pub use scaled_app::ScaledApp;
pub use wait::{ms, secs, until, until_some};
