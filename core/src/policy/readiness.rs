//! How to tell that an app can answer, as it is written: exactly one of `http`, `tcp` and `grpc`.

use super::{PortRef, Readiness, ReadinessSpec, checker::Checker};

/// The longest name of a service that gRPC's health is asked about, in characters.
const MAX_SERVICE: usize = 255;

impl Checker {
    /// None if it is not said how.
    pub(super) fn readiness(&mut self, spec: &ReadinessSpec) -> Option<Readiness> {
        let http = spec.http.as_ref().map(|http| {
            let path = http.path.clone();
            ("http", Readiness::Http { port: http.port.clone(), path })
        });
        let tcp = spec.tcp.as_ref().map(|tcp| ("tcp", Readiness::Tcp { port: tcp.port.clone() }));
        let grpc = spec.grpc.as_ref().map(|grpc| {
            let service = grpc.service.clone();
            ("grpc", Readiness::Grpc { port: grpc.port.clone(), service })
        });
        let mut given: Vec<_> = [http, tcp, grpc].into_iter().flatten().collect();
        if given.len() > 1 {
            let names: Vec<_> = given.iter().map(|(name, _)| *name).collect();
            let names = names.join(" and ").replacen(" and ", ", ", given.len() - 2);
            self.problem("wake.readiness", format!("{names} exclude each other: keep one"));
            return None;
        }
        let Some((name, readiness)) = given.pop() else {
            self.problem("wake.readiness", "say how: http: {path: /healthz}, tcp: {} or grpc: {}");
            return None;
        };
        match &readiness {
            Readiness::Http { path, .. } => self.path("wake.readiness.http.path", path),
            Readiness::Grpc { service, .. } => {
                let valid = service.len() <= MAX_SERVICE && service.bytes().all(|b| b.is_ascii_graphic());
                if !valid {
                    self.problem(
                        "wake.readiness.grpc.service",
                        format!(
                            "no name of a service: it has at most {MAX_SERVICE} characters and no blanks, such as \
                             package.Service; leave it out to ask about the whole server"
                        ),
                    );
                }
            }
            Readiness::Tcp { .. } => {}
        }
        if readiness.port() == Some(&PortRef::Number(0)) {
            self.problem(format!("wake.readiness.{name}.port"), "0 is no port");
        }
        Some(readiness)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{Mode, PolicySpec, Problem};

    fn resolve(readiness: &str) -> Result<Readiness, Vec<Problem>> {
        let spec: PolicySpec =
            serde_json::from_str(&format!(r#"{{"wake": {{"readiness": {readiness}}}}}"#)).unwrap();
        spec.resolve(Mode::Local).map(|policy| policy.wake.readiness)
    }

    #[test]
    fn each_is_what_is_written() {
        let port = Some(PortRef::Name("web".into()));
        for (written, expected) in [
            (
                r#"{"http": {"path": "/", "port": "web"}}"#,
                Readiness::Http { port: port.clone(), path: "/".into() },
            ),
            (r#"{"tcp": {"port": 81}}"#, Readiness::Tcp { port: Some(PortRef::Number(81)) }),
            (r#"{"grpc": {}}"#, Readiness::Grpc { port: None, service: String::new() }),
            (
                r#"{"grpc": {"port": "web", "service": "shop.v1.Cart"}}"#,
                Readiness::Grpc { port, service: "shop.v1.Cart".into() },
            ),
        ] {
            assert_eq!(resolve(written), Ok(expected), "{written}");
        }
    }

    #[test]
    fn it_is_exactly_one() {
        for (written, reason) in [
            ("{}", "say how: http: {path: /healthz}, tcp: {} or grpc: {}"),
            (r#"{"http": {"path": "/"}, "tcp": {}}"#, "http and tcp exclude each other: keep one"),
            (r#"{"tcp": {}, "grpc": {}}"#, "tcp and grpc exclude each other: keep one"),
            (
                r#"{"http": {"path": "/"}, "tcp": {}, "grpc": {}}"#,
                "http, tcp and grpc exclude each other: keep one",
            ),
        ] {
            let problems = resolve(written).unwrap_err();
            assert_eq!((problems.len(), problems[0].field.as_str()), (1, "wake.readiness"), "{written}");
            assert_eq!(problems[0].reason, reason);
        }
    }

    #[test]
    fn what_cannot_be_asked_is_refused() {
        let long = format!(r#"{{"grpc": {{"service": "{}"}}}}"#, "x".repeat(MAX_SERVICE + 1));
        for (written, field) in [
            (r#"{"http": {"path": "healthz"}}"#, "wake.readiness.http.path"),
            (r#"{"http": {"path": "/a b"}}"#, "wake.readiness.http.path"),
            (r#"{"http": {"path": "/", "port": 0}}"#, "wake.readiness.http.port"),
            (r#"{"tcp": {"port": 0}}"#, "wake.readiness.tcp.port"),
            (r#"{"grpc": {"port": 0}}"#, "wake.readiness.grpc.port"),
            (r#"{"grpc": {"service": "a b"}}"#, "wake.readiness.grpc.service"),
            (&long, "wake.readiness.grpc.service"),
        ] {
            let problems = resolve(written).unwrap_err();
            assert_eq!((problems.len(), problems[0].field.as_str()), (1, field), "{written}");
        }
        let longest = format!(r#"{{"grpc": {{"service": "{}"}}}}"#, "x".repeat(MAX_SERVICE));
        assert!(resolve(&longest).is_ok());
    }
}
