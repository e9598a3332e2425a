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
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let json = [("content-type", "application/json")];
        let response = send(FakeApps::default(), request("POST", path, &json, body)).await;
        let status = response.status().as_u16();
        prop_assert!([200, 202, 400].contains(&status), "{}", status);
        let said: Value = serde_json::from_str(&text(response).await).unwrap();
        if status == 400 {
            let why = if path.contains("deployments") { &said["error"] } else { &said["detail"] };
            prop_assert!(why.as_str().is_some_and(|why| why.len() > 10), "{}", said);
        }
        Ok(())
    })
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
    fn an_object_is_read_as_it_is_written(reason in ".{0,40}", wake_on_request: bool) {
        let request = SleepRequest { reason: Some(reason), wake_on_request };
        let read: SleepRequest = parse(&serde_json::to_vec(&request).unwrap()).unwrap();
        prop_assert_eq!(read, request);
    }
}
