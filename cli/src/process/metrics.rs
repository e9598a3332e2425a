//! The registry that every metric of a process goes to.

/// The metrics of this process, its build and itself to begin with.
pub(crate) fn registry() -> prometheus::Registry {
    let registry = prometheus::Registry::new();
    let build = prometheus::IntGaugeVec::new(
        prometheus::Opts::new("reveille_build_info", "The version that runs, as labels; always 1."),
        &["version", "commit"],
    )
    .expect("the name and the labels are valid");
    let commit = option_env!("REVEILLE_COMMIT").unwrap_or("unknown");
    build.with_label_values(&[env!("CARGO_PKG_VERSION"), commit]).set(1);
    let process = prometheus::process_collector::ProcessCollector::for_self();
    registry.register(Box::new(build)).expect("a new registry has no names");
    registry.register(Box::new(process)).expect("the names differ");
    registry
}
