//! NVIDIA Triton's calls as data: which of them wake it, and which only ask how it is.
//!
//! Taken from Triton's own clients (`tritonclient` and `perf_analyzer`) and seen with a real server. The
//! method is no signal: `repository/index` is a POST. What is not listed wakes, like any call of any app.
//! gRPC's own health check is not listed either: it is a probe of every app.

use Class::{Choice, First, Probe, Work};

/// What a call is to a Triton that sleeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Runs a model: wakes.
    Work,
    /// Clients call it before their first inference and give up if it fails: wakes.
    First,
    /// Asks or sets what has no meaning while it sleeps: does not wake.
    Probe,
    /// Loads or unloads a model: wakes, unless the user counts it among the probes (`probes.paths`).
    Choice,
}

impl Class {
    /// Whether such a call wakes, unless the user says otherwise.
    pub fn wakes(self) -> bool {
        self != Probe
    }
}

/// One thing that clients ask of Triton, by HTTP, by gRPC, or by either.
#[derive(Clone, Copy, Debug)]
pub struct Call {
    /// What it is to a Triton that sleeps.
    pub class: Class,
    /// Its paths: `{…}` stands for one segment, a final `*` for anything behind.
    pub http: &'static [&'static str],
    /// Its methods of [`SERVICE`].
    pub grpc: &'static [&'static str],
}

/// Triton's gRPC service as a path, up to the method.
pub const SERVICE: &str = "/inference.GRPCInferenceService/";

const fn call(class: Class, http: &'static [&'static str], grpc: &'static [&'static str]) -> Call {
    Call { class, http, grpc }
}

/// Every call that is known. Its metrics (`:8002` by default) are told by their path alone.
pub const CALLS: &[Call] = &[
    call(Work, &["/v2/models/{m}/infer", "/v2/models/{m}/versions/{v}/infer"], &["ModelInfer"]),
    call(Work, &["/v2/models/{m}/generate", "/v2/models/{m}/versions/{v}/generate"], &[]),
    call(Work, &["/v2/models/{m}/generate_stream", "/v2/models/{m}/versions/{v}/generate_stream"], &[]),
    call(Work, &[], &["ModelStreamInfer"]),
    call(First, &["/v2"], &["ServerMetadata"]),
    call(First, &["/v2/models/{m}", "/v2/models/{m}/versions/{v}"], &["ModelMetadata"]),
    call(First, &["/v2/models/{m}/config", "/v2/models/{m}/versions/{v}/config"], &["ModelConfig"]),
    call(Probe, &["/v2/health/*"], &["ServerLive", "ServerReady"]),
    call(Probe, &["/v2/models/{m}/ready", "/v2/models/{m}/versions/{v}/ready"], &["ModelReady"]),
    call(
        Probe,
        &["/v2/models/stats", "/v2/models/{m}/stats", "/v2/models/{m}/versions/{v}/stats"],
        &["ModelStatistics"],
    ),
    call(Probe, &["/v2/repository/index"], &["RepositoryIndex"]),
    call(
        Probe,
        &["/v2/systemsharedmemory/status", "/v2/systemsharedmemory/region/{r}/status"],
        &["SystemSharedMemoryStatus"],
    ),
    call(
        Probe,
        &["/v2/cudasharedmemory/status", "/v2/cudasharedmemory/region/{r}/status"],
        &["CudaSharedMemoryStatus"],
    ),
    call(Probe, &["/v2/trace/setting", "/v2/models/{m}/trace/setting"], &["TraceSetting"]),
    call(Probe, &["/v2/logging"], &["LogSettings"]),
    call(Probe, &["/metrics"], &[]),
    call(Choice, &["/v2/repository/models/{m}/load"], &["RepositoryModelLoad"]),
    call(Choice, &["/v2/repository/models/{m}/unload"], &["RepositoryModelUnload"]),
];

impl Call {
    /// The patterns of its paths, its gRPC methods among them. None of a probe ends with a `{…}`, which would
    /// become a final `*` and match too much.
    fn patterns(&self) -> impl Iterator<Item = String> + use<> {
        let http = self.http.iter().map(|template| pattern(template));
        http.chain(self.grpc.iter().map(|method| format!("{SERVICE}{method}")))
    }
}

/// The patterns of everything that does not wake.
pub(crate) fn probe_paths() -> Vec<String> {
    CALLS.iter().filter(|call| !call.class.wakes()).flat_map(Call::patterns).collect()
}

/// `/v2/models/{m}/ready` as `/v2/models/*/ready`.
fn pattern(template: &str) -> String {
    let segments = template.split('/').map(|segment| if segment.starts_with('{') { "*" } else { segment });
    segments.collect::<Vec<_>>().join("/")
}

/// Whether a path is a method whose answer is a message with a bool as its field 1.
/// Source: `grpc_service.proto` of Triton (`ServerLiveResponse`, `ServerReadyResponse`, `ModelReadyResponse`).
pub(super) fn answers_with_a_bool(path: &str) -> bool {
    path.strip_prefix(SERVICE)
        .is_some_and(|method| matches!(method, "ServerLive" | "ServerReady" | "ModelReady"))
}

#[cfg(test)]
#[path = "triton_tests.rs"]
mod tests;
