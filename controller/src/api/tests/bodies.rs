//! Bodies of any content: never a panic, never a server error, always an answer that says what is wrong.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::api::body::parse;

/// JSON of any shape, in which the fields' names are often right.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,20}".prop_map(Value::from),
        Just(json!("2h")),
        Just(json!("2126-01-02T03:04:05Z")),
    ];
    let names = prop_oneof![
        Just("reason".to_owned()),
        Just("for".to_owned()),
        Just("wake_on_request".to_owned()),
        Just("replicas".to_owned()),
        Just("scheduled_scale_up".to_owned()),
        ".{0,8}",
    ];
    leaf.prop_recursive(3, 24, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((names.clone(), inner), 0..5)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

const PATHS: [&str; 4] = [
    "/api/v1/apps/local/web/wake",
    "/api/v1/apps/local/web/sleep",
    "/api/v1/deployments/local/web/scale-to-zero",
    "/api/v1/deployments/local/web/scale-up",
];

fn check(path: &str, body: Vec<u8>) -> Result<(), TestCaseError> {
    check_typed(path, "application/json", body, &[200, 202, 400])
}

/// Sends the body, expects one of these statuses and, of a refusal, the form that the call has for it.
fn check_typed(path: &str, kind: &str, body: Vec<u8>, expected: &[u16]) -> Result<(), TestCaseError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let response =
            send(FakeApps::default(), request("POST", path, &[("content-type", kind)], body)).await;
        let status = response.status().as_u16();
        prop_assert!(expected.contains(&status), "{} {}: {}", path, kind, status);
        let form = response.headers()[header::CONTENT_TYPE].to_str().unwrap().to_owned();
        let said: Value = serde_json::from_str(&text(response).await).unwrap();
        if status >= 400 {
            let scale_api = path.contains("deployments");
            prop_assert_eq!(
                form.as_str(),
                if scale_api { "application/json" } else { "application/problem+json" }
            );
            let why = if scale_api { &said["error"] } else { &said["detail"] };
            prop_assert!(why.as_str().is_some_and(|why| why.len() > 10), "{}", said);
            if scale_api {
                prop_assert_eq!(&said["status"], "error");
            } else {
                prop_assert_eq!(&said["status"], status);
            }
        }
        Ok(())
    })
}

/// The text in UTF-16 with its mark, by which some clients write JSON.
fn utf16(text: &str) -> Vec<u8> {
    std::iter::once(0xfeff).chain(text.encode_utf16()).flat_map(u16::to_le_bytes).collect()
}

#[test]
fn what_breaks_parsers_is_refused_in_the_form_of_the_call() {
    let nested = |open: &str, close: &str, depth: usize| open.repeat(depth) + &close.repeat(depth);
    let (digits, zeros) = ("9".repeat(20_000), "0".repeat(60_000));
    for path in PATHS {
        for (name, body) in [
            ("lists in lists", nested("[", "]", 30_000).into_bytes()),
            ("in a field", format!("{{\"reason\":{}}}", nested("[", "]", 30_000)).into_bytes()),
            ("in a field that is not known", format!("{{\"x\":{}}}", nested("[", "]", 30_000)).into_bytes()),
            ("objects in objects", nested("{\"a\":", "}", 8_000).into_bytes()),
            ("never closed", "{\"a\":".repeat(10_000).into_bytes()),
            (
                "a huge number",
                format!("{{\"replicas\":{digits},\"for\":{digits},\"scheduled_scale_up\":{digits}}}")
                    .into_bytes(),
            ),
            ("a long fraction", format!("{{\"replicas\":0.{zeros}1,\"for\":0.1,\"reason\":1}}").into_bytes()),
            ("more than any exponent", b"{\"replicas\":1e999,\"reason\":1e999}".to_vec()),
            ("twice the same", b"{\"reason\":1,\"reason\":2}".to_vec()),
            ("half a surrogate", b"{\"reason\":\"\\ud800\"}".to_vec()),
            ("no UTF-8", b"{\"reason\":\"\xff\xfe\"}".to_vec()),
            ("UTF-16", utf16("{\"reason\":\"x\"}")),
            ("the mark of UTF-8", b"\xef\xbb\xbf{}".to_vec()),
            ("two objects", b"{} {}".to_vec()),
            ("nothing but space", b"  \n".to_vec()),
            ("null", b"null".to_vec()),
        ] {
            check_typed(path, "application/json", body, &[400])
                .unwrap_or_else(|error| panic!("{name}: {error}"));
        }
        check_typed(path, "application/json", vec![b' '; 64 * 1024 + 1], &[413]).unwrap();
    }
}

proptest! {
    #[test]
    fn any_json_is_answered(path in prop::sample::select(&PATHS[..]), body in any_json()) {
        check(path, body.to_string().into_bytes())?;
    }

    #[test]
    fn any_bytes_are_answered(path in prop::sample::select(&PATHS[..]), body in prop::collection::vec(any::<u8>(), 0..100)) {
        check(path, body)?;
    }

    #[test]
    fn any_type_of_content_is_answered(
        path in prop::sample::select(&PATHS[..]),
        kind in prop_oneof!["[!-~]{0,40}", "application/json; ?[ -~]{0,30}", "[aA]pplication/[jJ][sS][oO][nN][+a-z]{0,4}"],
        body in any_json(),
    ) {
        check_typed(path, &kind, body.to_string().into_bytes(), &[200, 202, 400, 415])?;
    }

    #[test]
    fn calls_without_a_use_for_a_body_do_not_mind_one(
        path in prop::sample::select(&[
            "/api/v1/apps", "/api/v1/apps/local/web", "/api/v1/apps/local/web/history",
            "/api/v1/deployments/local/web/status", "/health", "/ready", "/livez", "/readyz", "/metrics", "/openapi.json",
        ][..]),
        body in prop::collection::vec(any::<u8>(), 0..100),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let status = runtime.block_on(async { send(FakeApps::default(), request("GET", path, &[], body)).await.status() });
        prop_assert_eq!(status, 200, "{}", path);
    }

    #[test]
    fn any_names_in_a_path_are_answered(path in prop::sample::select(&PATHS[..]), namespace in "[!-~]{1,12}", name in "(%[0-9a-fA-F]{2}|[!-~]){1,12}") {
        let path = path.replace("local/web", &format!("{namespace}/{name}"));
        let Ok(uri) = path.parse::<http::Uri>() else { return Ok(()) };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let status = runtime.block_on(async { send(FakeApps::default(), request("POST", &uri.to_string(), &[], "")).await.status() });
        prop_assert!(!status.is_server_error(), "{}: {}", path, status);
    }

    #[test]
    fn an_object_is_read_as_it_is_written(reason in ".{0,40}", wake_on_request: bool) {
        let request = SleepRequest { reason: Some(reason), wake_on_request };
        let read: SleepRequest = parse(&serde_json::to_vec(&request).unwrap()).unwrap();
        prop_assert_eq!(read, request);
    }
}
