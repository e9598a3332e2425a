//! The table against what was seen: concrete calls, and what each does to a Triton that sleeps.

use std::collections::HashSet;

use super::*;
use crate::{
    policy::{Mode, PolicySpec, Preset, Probes},
    probes::Pattern,
};

/// As real clients called a real server: (class, paths, methods).
const SEEN: &[(Class, &[&str], &[&str])] = &[
    (
        Work,
        &[
            "/v2/models/resnet50/infer",
            "/v2/models/resnet50/versions/1/infer",
            "/v2/models/m/generate",
            "/v2/models/m/versions/2/generate",
            "/v2/models/m/generate_stream",
            "/v2/models/m/versions/2/generate_stream",
        ],
        &["ModelInfer", "ModelStreamInfer"],
    ),
    (
        First,
        &[
            "/v2",
            "/v2/models/m",
            "/v2/models/m/versions/3",
            "/v2/models/m/config",
            "/v2/models/m/versions/3/config",
        ],
        &["ServerMetadata", "ModelMetadata", "ModelConfig"],
    ),
    (
        Probe,
        &[
            "/v2/health/live",
            "/v2/health/ready",
            "/v2/models/m/ready",
            "/v2/models/m/versions/3/ready",
            "/v2/models/stats",
            "/v2/models/m/stats",
            "/v2/models/m/versions/1/stats",
            "/v2/repository/index",
            "/v2/systemsharedmemory/status",
            "/v2/systemsharedmemory/region/r/status",
            "/v2/cudasharedmemory/status",
            "/v2/cudasharedmemory/region/r/status",
            "/v2/trace/setting",
            "/v2/models/m/trace/setting",
            "/v2/logging",
            "/metrics",
        ],
        &[
            "ServerLive",
            "ServerReady",
            "ModelReady",
            "ModelStatistics",
            "RepositoryIndex",
            "SystemSharedMemoryStatus",
            "CudaSharedMemoryStatus",
            "TraceSetting",
            "LogSettings",
        ],
    ),
    (
        Choice,
        &["/v2/repository/models/m/load", "/v2/repository/models/m/unload"],
        &["RepositoryModelLoad", "RepositoryModelUnload"],
    ),
];

fn triton(paths: &[&str]) -> Probes {
    let mut spec = PolicySpec { preset: Preset::Triton, ..PolicySpec::default() };
    spec.probes.paths = paths.iter().map(ToString::to_string).collect();
    spec.resolve(Mode::Local).unwrap().probes
}

/// Whether a template of the table means this path. Other than [`Pattern`], it knows that `{…}` is one
/// segment wherever it stands.
fn means(template: &str, path: &str) -> bool {
    if let Some(prefix) = template.strip_suffix('*') {
        return path.starts_with(prefix);
    }
    let (template, path): (Vec<_>, Vec<_>) = (template.split('/').collect(), path.split('/').collect());
    template.len() == path.len()
        && template.iter().zip(&path).all(|(t, p)| t == p || t.starts_with('{') && !p.is_empty())
}

/// What of the table means this call. `/v2/models/stats` could also be the metadata of a model named `stats`;
/// Triton takes it for the statistics, so what stands there literally comes first.
fn listed(path: &str) -> Option<(Class, &'static str)> {
    let method = path.strip_prefix(SERVICE);
    let named = CALLS.iter().flat_map(|call| {
        let http = call.http.iter().filter(|template| means(template, path));
        let grpc = call.grpc.iter().filter(|name| Some(**name) == method);
        http.chain(grpc).map(|name| (call.class, *name))
    });
    let exact = |(_, name): &(Class, &str)| *name == path;
    let all: Vec<_> = named.collect();
    assert!(all.len() == 1 || all.iter().any(exact) || all.is_empty(), "{path}: {all:?}");
    all.iter().copied().find(exact).or(all.first().copied())
}

#[test]
fn the_table_says_what_was_seen_and_nothing_else() {
    let mut met = HashSet::new();
    for (class, paths, methods) in SEEN {
        let methods = methods.iter().map(|method| format!("{SERVICE}{method}"));
        for path in paths.iter().map(ToString::to_string).chain(methods) {
            let (listed, name) = listed(&path).unwrap_or_else(|| panic!("{path} is not listed"));
            assert_eq!(listed, *class, "{path}");
            met.insert(name);
        }
    }
    let all: Vec<_> = CALLS.iter().flat_map(|call| call.http.iter().chain(call.grpc)).collect();
    assert_eq!(met.len(), all.len(), "a name stands twice, or was never seen");
    for name in all {
        assert!(met.contains(name), "{name} was never seen");
    }
}

#[test]
fn what_the_table_calls_a_probe_is_one() {
    let triton = triton(&[]);
    for (class, paths, methods) in SEEN {
        let methods = methods.iter().map(|method| format!("{SERVICE}{method}"));
        for path in paths.iter().map(ToString::to_string).chain(methods) {
            assert_eq!(triton.classify(&path, None).is_none(), class.wakes(), "{path}");
        }
    }
    for unlisted in [
        "/",
        "/v2/models",
        "/v2/models/ready",
        "/v2/models/a/b/ready",
        "/v2/systemsharedmemory/region/r/register",
    ] {
        assert_eq!(triton.classify(unlisted, None), None, "{unlisted}");
    }
    let http = PolicySpec::default().resolve(Mode::Local).unwrap().probes;
    assert_eq!(http.classify("/v2/health/ready", None), None, "only of the preset triton");
}

#[test]
fn loading_and_unloading_can_be_counted_among_the_probes() {
    // These lines stand in the reference.
    let triton = triton(&["/v2/repository/models/*", "/inference.GRPCInferenceService/RepositoryModel*"]);
    for call in CALLS.iter().filter(|call| call.class == Choice) {
        for path in call.patterns() {
            assert!(triton.classify(&path.replace('*', "m"), None).is_some(), "{path}");
        }
    }
    assert_eq!(triton.classify("/v2/models/m/infer", None), None);
}

#[test]
fn every_pattern_is_valid_and_none_matches_more_than_its_template() {
    for text in CALLS.iter().flat_map(Call::patterns) {
        assert!(Pattern::new(&text).is_ok(), "{text}");
    }
    let probes = CALLS.iter().filter(|call| !call.class.wakes());
    for template in probes.flat_map(|call| call.http) {
        assert!(!template.ends_with('}'), "{template}");
    }
}
