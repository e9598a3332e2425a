//! The control plane of a cluster: apps are `ScaledApp`s, replicas those of a workload with `/scale`, activators pods.
//!
//! Only the leader acts. It is the only writer of a `ScaledApp`'s status and of everything that leads traffic to an app;
//! waking is the activators' job, and they need no controller for it.
//!
//! | module | holds |
//! |---|---|
//! | [`traits`] | what its parts need of each other |
//! | [`election`] | which controller leads |
//! | [`scales`] | replicas, by `/scale` |
//! | [`fleet`] | the activators: who they are, and their control ports |
//! | [`scrape`] | what pods themselves count |
//! | [`idle`] | whether an app is idle |
//! | [`attempt`] | the sleep protocol |

pub mod attempt;
pub mod election;
pub mod fleet;
pub mod idle;
mod resources;
pub mod scales;
pub mod scrape;
pub mod traits;
