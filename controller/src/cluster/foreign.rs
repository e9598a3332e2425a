//! Pods that the target's selector matches and that are not the target's. Pure.
//!
//! The slices by which activators find replicas show them, too. So the status names them, and activators leave them out: they
//! get no requests, and an app that sleeps is woken beside them.

use reveille_core::resource::{Reason, ScaledAppStatus};

use super::observe::{Observed, Problem, group_of};

/// How many are named at most.
const MOST: usize = 100;

/// What is said of them.
pub(super) fn problem(seen: &Observed) -> Option<Problem> {
    let says: Vec<_> = seen.foreign.iter().map(|pod| pod.says.as_str()).collect();
    let happened = format!("its selector matches {}", says.join(", "));
    (!says.is_empty()).then(|| Problem::new(Reason::ForeignPods, happened))
}

/// Has activators leave them out. How a custom kind owns its pods is not known for certain: its are said, and left in.
pub(super) fn leave_out(status: &mut ScaledAppStatus, seen: &Observed) {
    let is_certain = group_of(&seen.app.spec.target.api_version) == "apps";
    let foreign = seen.foreign.iter().filter(|_| is_certain).take(MOST);
    status.foreign_pods = foreign.map(|pod| pod.uid.clone()).collect();
    status.foreign_pods.sort_unstable();
}
