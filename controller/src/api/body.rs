//! Reading a small JSON body, or none.
//!
//! The content type is insisted on: a web page of another site may send a `text/plain` body without asking
//! first, but not `application/json`.

use std::{fmt, time::Duration};

use axum::{
    body::{self, Body, Bytes},
    extract::{FromRequest, Request},
};
use http::{HeaderMap, header};
use http_body_util::LengthLimitError;
use serde::{
    Deserialize, Deserializer,
    de::{self, DeserializeOwned, MapAccess, Visitor},
};
use serde_json::{Map, Value};

use super::problem::{Kind, Problem, escaped};

/// The longest body that is read, in bytes.
const MAX_BYTES: usize = 64 * 1024;

/// How long a body may take to arrive.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The body as `T`, which must be there.
#[derive(Debug)]
pub(super) struct RequiredJson<T>(pub(super) T);

/// The body as `T`; its default if there is no body.
#[derive(Debug)]
pub(super) struct OptionalJson<T>(pub(super) T);

impl<T: DeserializeOwned + Default, S: Sync> FromRequest<S> for OptionalJson<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        Ok(Self(object(request).await?.unwrap_or_default()))
    }
}

impl<T: DeserializeOwned, S: Sync> FromRequest<S> for RequiredJson<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let missing =
            || Problem::new(Kind::BadRequest, "the call has no body; send its fields as a JSON object");
        object(request).await?.map(Self).ok_or_else(missing)
    }
}

/// The body's object; None if there is no body.
async fn object<T: DeserializeOwned>(request: Request) -> Result<Option<T>, Problem> {
    let (head, body) = request.into_parts();
    let bytes = read(&head.headers, body).await?;
    if bytes.is_empty() {
        return Ok(None);
    }
    check_type(&head.headers)?;
    parse(&bytes).map(Some)
}

/// As a map first: serde would take a list for a struct, too.
pub(super) fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    let unusable = |why: String| Problem::new(Kind::BadRequest, format!("the body cannot be used: {why}"));
    let Object(object) = serde_json::from_slice(bytes).map_err(|error| unusable(error.to_string()))?;
    // What is wrong with a time or a number says little without the name of its field.
    serde_path_to_error::deserialize(Value::from(object)).map_err(|error| match error.path().to_string() {
        whole if whole == "." => unusable(error.into_inner().to_string()),
        field => unusable(format!("{field}: {}", error.into_inner())),
    })
}

/// A JSON object whose fields are each there once: which of two would count, readers of JSON do not agree on.
struct Object(Map<String, Value>);

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;

        impl<'de> Visitor<'de> for Fields {
            type Value = Object;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Object, A::Error> {
                let mut object = Map::new();
                while let Some((name, value)) = fields.next_entry::<String, Value>()? {
                    if object.contains_key(&name) {
                        return Err(de::Error::custom(format_args!("the field {name:?} is there twice")));
                    }
                    object.insert(name, value);
                }
                Ok(Object(object))
            }
        }

        deserializer.deserialize_map(Fields)
    }
}

async fn read(headers: &HeaderMap, body: Body) -> Result<Bytes, Problem> {
    let too_long = || {
        Problem::new(Kind::BodyTooLong, format!("the body may have at most {MAX_BYTES} bytes; shorten it"))
    };
    // Told before it is sent, for clients that wait for `100 Continue`.
    let announced = headers.get(header::CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|length| length > MAX_BYTES as u64) {
        return Err(too_long());
    }
    match tokio::time::timeout(TIMEOUT, body::to_bytes(body, MAX_BYTES)).await {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(error)) if is_too_long(&error) => Err(too_long()),
        Ok(Err(error)) => {
            Err(Problem::new(Kind::BadRequest, format!("the body did not arrive whole: {error}")))
        }
        Err(_) => Err(Problem::new(
            Kind::BodyTooSlow,
            format!("the body did not arrive within {} s; send it again", TIMEOUT.as_secs()),
        )),
    }
}

fn is_too_long(error: &axum::Error) -> bool {
    std::error::Error::source(error).is_some_and(|source| source.is::<LengthLimitError>())
}

fn check_type(headers: &HeaderMap) -> Result<(), Problem> {
    let wanted = "send `Content-Type: application/json`, or no body at all";
    let Some(value) = headers.get(header::CONTENT_TYPE) else {
        return Err(Problem::new(Kind::NotJson, format!("the body has no content type; {wanted}")));
    };
    let text = String::from_utf8_lossy(value.as_bytes());
    let essence = text.split(';').next().unwrap_or_default().trim();
    if essence.eq_ignore_ascii_case("application/json") {
        return Ok(());
    }
    Err(Problem::new(
        Kind::NotJson,
        format!("the content type {} is not understood; {wanted}", escaped(&text)),
    ))
}

#[cfg(test)]
mod tests {
    use reveille_core::scale::{ScaleToZero, ScaleUp};

    use super::*;

    #[test]
    fn what_is_wrong_is_said_with_its_field() {
        let said = |problem: Problem| problem.detail().to_owned();
        let wrong = parse::<ScaleUp>(br#"{"replicas": "1", "reason": "x"}"#).unwrap_err();
        assert!(said(wrong).starts_with("the body cannot be used: replicas: invalid type"));
        let wrong =
            parse::<ScaleToZero>(br#"{"reason": "x", "scheduled_scale_up": "tomorrow"}"#).unwrap_err();
        assert!(said(wrong).starts_with("the body cannot be used: scheduled_scale_up: "));
        let wrong = parse::<ScaleUp>(br#"{"reason": "x"}"#).unwrap_err();
        assert_eq!(said(wrong), "the body cannot be used: missing field `replicas`");
        assert!(parse::<ScaleUp>(b"[1, \"x\"]").is_err());
        let twice = parse::<ScaleUp>(br#"{"reason": "x", "replicas": 1, "reason": "y"}"#).unwrap_err();
        assert!(said(twice).contains("the field \"reason\" is there twice"));
    }
}
