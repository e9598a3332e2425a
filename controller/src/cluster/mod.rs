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
//! | `join`, `run`, `lead`, `worker` | the controller, while it leads, and an app's part of that |
//! | `stores`, `gather` | what is watched, and what is read for one app |
//! | `observe`, `pods`, `service`, `contest` | what is known of an app |
//! | `plan`, `phase`, `wake`, `traffic`, `conditions` | what follows from it, without any I/O |
//! | `apply`, `status`, `direct`, `ports`, `events`, `counts` | what is done about it |
//! | `sleeper` | an app as the sleep protocol sees it |
//! | [`by_hand`], [`deployments`] | what the API shows and does |
//! | `jitter` | pauses of a random length |
//! | `leader` | the label by which the API's Service finds the leader |
//! | `give_back`, `give_back_all` | how apps are given back |

mod apply;
pub mod attempt;
pub mod by_hand;
mod conditions;
mod config;
mod contest;
mod counts;
pub mod deployments;
mod direct;
pub mod election;
mod events;
#[cfg(test)]
mod fixtures;
pub mod fleet;
mod foreign;
mod gather;
mod give_back;
mod give_back_all;
pub mod idle;
mod jitter;
mod join;
mod lead;
mod leader;
mod memory;
mod objects;
mod observe;
mod owners;
mod phase;
mod plan;
mod pods;
mod ports;
mod resources;
mod run;
pub mod scales;
pub mod scrape;
mod service;
mod sleeper;
mod status;
mod stores;
mod traffic;
pub mod traits;
mod wake;
mod worker;
mod world;

pub use self::{
    config::{ApiConfig, Config},
    give_back_all::give_back_all,
    join::{JoinError, Joined, join},
    ports::MOST as MOST_PORTS,
    run::{RunError, run},
    world::Parts,
};
