//! Answers probes of an app that cannot answer itself, from what is known and in the shape that the caller
//! expects.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, header::CONTENT_TYPE};
use reveille_core::{phase::Phase, probes::Shape};

use super::{
    body::ResponseBody,
    grpc::{self, APPLICATION_GRPC, GRPC_STATUS},
};
use crate::{
    app::App,
    error::{Error, Kind},
    respond::{self, Form},
};

/// A protobuf message with a varint as its field 1: a bool, or the status of grpc.health.v1.
const FIELD_1: u8 = 0x08;
/// `HealthCheckResponse.ServingStatus`.
const SERVING: u8 = 1;
const NOT_SERVING: u8 = 2;

/// The answer: `ok` says whether the caller gets a good one.
pub(super) fn answer(
    app: &App,
    ok: bool,
    shape: Shape,
    form: Form,
    id: &HeaderValue,
) -> Response<ResponseBody> {
    let phase = app.phase();
    match shape {
        Shape::GrpcHealth => message(&[FIELD_1, if ok { SERVING } else { NOT_SERVING }], id),
        // False is the default, which is not sent.
        Shape::GrpcBool if ok => message(&[FIELD_1, 1], id),
        Shape::GrpcBool => message(&[], id),
        Shape::GrpcHealthWatch => {
            let detail = format!("{} is {phase}; it is woken by a call, not by watching it", app.id);
            let error = Error::new(Kind::MethodNotSupported, detail).for_app(&app.id);
            respond::error(&error, Some(id), Form::Grpc)
        }
        Shape::Grpc => respond::error(&not_awake(app, phase), Some(id), Form::Grpc),
        Shape::Http if ok => {
            let body = serde_json::json!({ "app": app.id.to_string(), "phase": phase });
            let mut response = Response::new(ResponseBody::full(Bytes::from(body.to_string())));
            response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            response.headers_mut().insert(super::headers::X_REQUEST_ID, id.clone());
            response
        }
        Shape::Http => respond::error(&not_awake(app, phase), Some(id), form),
    }
}

fn not_awake(app: &App, phase: Phase) -> Error {
    let detail = format!("{} is {phase}; a probe does not wake it", app.id);
    Error::new(Kind::NotAwake, detail).for_app(&app.id).retry_after(app.eta())
}

/// A unary call's answer.
fn message(payload: &[u8], id: &HeaderValue) -> Response<ResponseBody> {
    let trailers = HeaderMap::from_iter([(GRPC_STATUS, HeaderValue::from_static("0"))]);
    let mut response = Response::new(ResponseBody::grpc(grpc::message(payload), trailers));
    response.headers_mut().insert(CONTENT_TYPE, APPLICATION_GRPC);
    response.headers_mut().insert(super::headers::X_REQUEST_ID, id.clone());
    response
}
