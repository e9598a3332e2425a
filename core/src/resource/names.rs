//! What Reveille calls the things that it makes and marks in a cluster: both planes and the chart go by these.

/// The label of everything that the controller makes for an app: the name of its `ScaledApp`. The cluster's own slices of
/// the private Service carry it too, as they take over the Service's labels, and by it the activators find them.
pub const APP_LABEL: &str = "reveille.dev/scaled-app";

/// Who the slices that lead an app's Service to the activators, and the private Service, are managed by (labels
/// `endpointslice.kubernetes.io/managed-by`, `app.kubernetes.io/managed-by`).
pub const MANAGED_BY: &str = "reveille.dev";

/// The readiness gate by which pods are taken off the direct path before they sleep.
pub const DIRECT_GATE: &str = "reveille.dev/direct";

/// Keeps a deleted `ScaledApp` until its app was given back.
pub const FINALIZER: &str = "reveille.dev/give-back";

/// The annotation of a Deployment that keeps the scale-up that is to come.
pub const SCHEDULED_SCALE_UP: &str = "reveille.dev/scheduled-scale-up";

/// The annotation of a Deployment that keeps when the API scaled it last: of a count of 0 the API server keeps no trace.
pub const LAST_SCALED: &str = "reveille.dev/last-scaled";

/// The label of the pod of the controller that leads, with the value `true`: by it the Service of the API finds it.
pub const LEADER_LABEL: &str = "reveille.dev/leader";

/// The field manager of the controller's writes.
pub const CONTROLLER: &str = "reveille-controller";

/// The field manager of the activators' writes, which are wakes.
pub const ACTIVATOR: &str = "reveille-activator";

/// The longest name of a Service, in characters (RFC 1035).
const MAX_SERVICE_NAME: usize = 63;

/// The name of the headless Service by which an app's pods are found, whatever the public one looks like. Clients never
/// use it.
pub fn private_service(app: &str) -> String {
    const END: &str = "-reveille";
    // A Service's name begins with a letter, an app's may begin with a digit.
    let start = if app.starts_with(|c: char| c.is_ascii_lowercase()) { "" } else { "app-" };
    if start.is_empty() && app.len() + END.len() <= MAX_SERVICE_NAME {
        return format!("{app}{END}");
    }
    // Whatever is not the app's name itself needs something that another's is unlikely to have.
    let hash = format!("-{:08x}", fnv(app));
    let kept = MAX_SERVICE_NAME - start.len() - hash.len() - END.len();
    format!("{start}{}{hash}{END}", &app[..kept.min(app.len())])
}

/// The name, in the private Service, of the port that stands for a port of the public one.
pub fn private_port(service_port: u16) -> String {
    format!("p{service_port}")
}

/// FNV-1a, 32 bits: short, and the same in every release.
fn fnv(text: &str) -> u32 {
    text.bytes().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::check_name;

    #[test]
    fn private_services_have_valid_names_that_differ() {
        assert_eq!(private_service("web"), "web-reveille");
        assert_ne!(private_service("7z"), private_service("app-7z"));
        let (a, b) = (private_service(&"x".repeat(63)), private_service(&format!("{}y", "x".repeat(62))));
        assert_ne!(a, b);
        for name in [a, b, private_service(&"7".repeat(63)), private_service(&"x".repeat(54))] {
            assert!(
                check_name(&name).is_ok() && name.starts_with(|c: char| c.is_ascii_lowercase()),
                "{name}"
            );
        }
    }
}
