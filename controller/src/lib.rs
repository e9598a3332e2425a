//! The control plane of Reveille: observes apps, decides, and puts them to sleep.
//!
//! | module | holds |
//! |---|---|
//! | [`traits`] | the narrow traits by which it meets the world |
//! | [`sleep`] | the sleep protocol: announce, shut, check, stop |
//! | [`local`] | the world as processes on one machine |
//! | [`api`] | the admin port |

pub mod local;
pub mod traits;
