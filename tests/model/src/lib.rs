//! The sleep and wake protocol of Reveille on Kubernetes as a model, checked in every order of events within
//! bounds. What it proves, and what not: the README beside this crate.
//!
//! | module | is |
//! |---|---|
//! | [`step`] | the steps of the protocol, each of which a model can leave out |
//! | [`bounds`] | how often what may happen |
//! | [`state`] | what the model remembers, and why it can be so little |
//! | [`action`] | what can happen |
//! | `actors` | what it does to the state: clients, activators, controllers, the API server |
//! | [`model`] | all of it as a stateright model, with the promises of [`reveille_core::invariants`] as properties |
//! | [`check`] | running the checker |
//! | [`endless`] | that every run comes to an end, which the last of the promises needs |
//!
//! What is decided by pure functions of `core` is decided by them here, too: `decide`, `nothing_passed`,
//! `Activity::in_service`, `only_raises`.

pub mod action;
mod actors;
pub mod bounds;
pub mod check;
pub mod endless;
pub mod model;
pub mod state;
pub mod step;

pub use bounds::Bounds;
pub use model::Protocol;
pub use step::{Step, Steps};
