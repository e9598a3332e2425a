//! The API's description, OpenAPI 3.1, made from the handlers and the types that they take and give.
//!
//! What can happen to every call, such as a wrong key, is added to each in one place.

use std::sync::LazyLock;

use axum::{
    Json,
    response::{IntoResponse, Response},
};
use reveille_core::{
    api::{AppEvent, AppGone, AppList, ProblemBody},
    scale::Failed,
};
use utoipa::{
    Modify, OpenApi,
    openapi::{
        Content, Ref, RefOr, ResponseBuilder,
        path::Operation,
        security::{Http, HttpAuthScheme, SecurityScheme},
    },
};

use super::{apps, deployments, events, health};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Reveille",
        description = "Sees, wakes and puts to sleep what scales from zero. Without keys, as local mode on the loopback address is by default, no call asks for one."
    ),
    paths(
        health::livez, health::readyz, health::metrics, openapi,
        deployments::health, deployments::ready, deployments::status, deployments::scale_to_zero, deployments::scale_up,
        apps::list, apps::get, apps::history, apps::wake, apps::sleep, events::events,
    ),
    components(schemas(AppList, AppEvent, AppGone, ProblemBody, Failed)),
    tags(
        (name = "apps", description = "Apps: what Reveille lets sleep"),
        (name = "deployments", description = "The Scale API: Deployments, whether they are apps or not. Bodies may hold fields that are not described here; they are passed over"),
        (name = "health", description = "What monitors ask; open to all"),
    ),
    security(("key" = [])),
    modifiers(&Common),
)]
struct Description;

/// The description, made once.
pub(super) static DOCUMENT: LazyLock<utoipa::openapi::OpenApi> = LazyLock::new(Description::openapi);

/// This description
#[utoipa::path(get, path = "/openapi.json", tag = "health", operation_id = "openapi", security(()),
    responses((status = 200, description = "OpenAPI 3.1", body = Object)))]
pub(super) async fn openapi() -> Response {
    Json(&*DOCUMENT).into_response()
}

/// What is so of many calls.
struct Common;

impl Modify for Common {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let key = Http::builder()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some("A key, as `reveille key new` makes it"))
            .build();
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("key", SecurityScheme::Http(key));
        for (path, item) in &mut document.paths.paths {
            for operation in [&mut item.get, &mut item.post].into_iter().flatten() {
                add_refusals(path, operation);
            }
        }
    }
}

/// The refusals that come before a call is looked at.
fn add_refusals(path: &str, operation: &mut Operation) {
    let has_body = operation.request_body.is_some();
    let guarded = path.starts_with("/api/");
    let checked = guarded || matches!(path, "/metrics" | "/openapi.json");
    for (status, description, applies) in [
        ("400", "The path, a header or the body is malformed, or a value is out of its range", checked),
        ("401", "There is no key, or an unknown one", guarded),
        ("403", "The key is not good for this; or the call comes from another host or web site", checked),
        ("408", "The body did not arrive in time", has_body),
        ("413", "The body has more than 64 KiB", has_body),
        ("415", "The body is not `application/json`", has_body),
        ("429", "Too many calls without a good key came from this address", guarded),
        (
            "503",
            "In a cluster: this controller stands by, and the Service does not lead to the one that leads yet",
            guarded,
        ),
        ("504", "There was no answer in time; what was asked for may still happen", guarded),
    ] {
        if applies && !operation.responses.responses.contains_key(status) {
            let (schema, kind) = if path.starts_with("/api/v1/deployments/") {
                ("Failed", "application/json")
            } else {
                ("ProblemBody", "application/problem+json")
            };
            let content = Content::new(Some(RefOr::Ref(Ref::from_schema_name(schema))));
            let response = ResponseBuilder::new().description(description).content(kind, content).build();
            operation.responses.responses.insert(status.to_owned(), response.into());
        }
    }
}
