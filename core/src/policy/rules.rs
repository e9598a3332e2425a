//! What a policy's texts and lists may be, as rules of the schema of `ScaledApp`: what
//! [`resolve`](super::PolicySpec::resolve) checks, said in CEL.

use crate::schema::{self, Change, both, checked, list, rule};

/// The longest path of a request, in characters.
const MAX_PATH: u32 = 1_024;
/// The most patterns and user agents of probes: every request is compared with each.
const MAX_PROBES: u32 = 100;

/// `wake.readiness`.
pub(super) fn readiness() -> impl Change {
    schema::exactly_one(
        &["http", "tcp", "grpc"],
        "say how, by exactly one of: http: {path: /healthz}, tcp: {} or grpc: {}",
    )
}

/// A path that is asked for.
pub(crate) fn path() -> impl Change {
    checked(
        MAX_PATH,
        "self.matches('^/[!-\"$-~]*$')",
        "write a path that begins with '/', without blanks: /healthz",
    )
}

/// `wake.readiness.grpc.service`.
pub(super) fn grpc_service() -> impl Change {
    checked(
        255,
        "self.matches('^[!-~]*$')",
        "write the name of a service, such as package.Service, or leave it out to ask about the whole server",
    )
}

/// `probes.paths`.
pub(super) fn probe_paths() -> impl Change {
    let message =
        "write the path alone, without query and blanks: /healthz, /status/* or /package.Service/Method";
    list(MAX_PROBES, checked(MAX_PATH, "self.matches('^/[!-\"$->@-~]*$')", message))
}

/// `probes.userAgents`.
pub(super) fn user_agents() -> impl Change {
    list(MAX_PROBES, checked(256, "self.matches(r'\\S')", "an empty prefix would make every call a probe"))
}

/// `upgrades`.
pub(crate) fn upgrades() -> impl Change {
    let item = both(
        checked(
            64,
            "self.matches('^[-!#$%&\\'*+.^_`|~0-9A-Za-z]+(/[-!#$%&\\'*+.^_`|~0-9A-Za-z]+)?$')",
            "write the name of a protocol, and its version if it has one: websocket, spdy/3.1",
        ),
        rule(
            "!self.matches('^(?i:h2|h2c|http)(/|$)')",
            "cannot be changed to, as requests behind the upgrade would go around every check; HTTP/2 needs none, \
             clients speak it from the first byte (prior knowledge)",
        ),
    );
    let once = rule(
        "self.all(a, self.exists_one(b, a.lowerAscii() == b.lowerAscii()))",
        "a protocol is listed twice; letter case does not matter",
    );
    both(list(16, item), once)
}
