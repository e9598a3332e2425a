//! In which shape the caller of a probe expects its answer.

use super::triton;

/// The service by which gRPC servers are asked for their health, up to the method.
/// Source: `grpc/health/v1/health.proto` of gRPC.
const HEALTH: &str = "/grpc.health.v1.Health/";

/// The shape in which a caller of a probe expects its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// A status and a JSON body that says more.
    Http,
    /// `grpc.health.v1.HealthCheckResponse`.
    GrpcHealth,
    /// A gRPC message whose field 1 is a bool, such as Triton's `ServerReadyResponse`.
    GrpcBool,
    /// Any other gRPC method: an error is all that can be said. Only the content type tells it from
    /// [`Http`](Self::Http).
    Grpc,
    /// gRPC's watch on health: a client that is told that it is not implemented takes the server for healthy
    /// and goes on calling, which is what wakes it.
    GrpcHealthWatch,
}

/// The shape that goes with a path (without query), whatever the preset: these paths mean the same
/// everywhere. Never [`Shape::Grpc`], which a path alone does not tell.
pub fn shape(path: &str) -> Shape {
    match path.strip_prefix(HEALTH) {
        Some("Check") => Shape::GrpcHealth,
        Some("Watch") => Shape::GrpcHealthWatch,
        None if triton::answers_with_a_bool(path) => Shape::GrpcBool,
        _ => Shape::Http,
    }
}

/// Whether it is gRPC's health check, which is a probe of every app.
pub(super) fn is_health(path: &str) -> bool {
    path.strip_prefix(HEALTH).is_some_and(|method| matches!(method, "Check" | "Watch"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_tells_the_shape() {
        for (path, expected) in [
            ("/grpc.health.v1.Health/Check", Shape::GrpcHealth),
            ("/grpc.health.v1.Health/Watch", Shape::GrpcHealthWatch),
            ("/grpc.health.v1.Health/List", Shape::Http),
            ("/inference.GRPCInferenceService/ServerLive", Shape::GrpcBool),
            ("/inference.GRPCInferenceService/ServerReady", Shape::GrpcBool),
            ("/inference.GRPCInferenceService/ModelReady", Shape::GrpcBool),
            ("/inference.GRPCInferenceService/ModelStatistics", Shape::Http),
            ("/inference.GRPCInferenceService/ServerReady/", Shape::Http),
            ("/healthz", Shape::Http),
            ("/", Shape::Http),
            ("", Shape::Http),
        ] {
            assert_eq!(shape(path), expected, "{path}");
        }
    }
}
