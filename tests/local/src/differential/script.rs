//! What a case is: a request to send and the response that it is to get, in terms that both versions of HTTP
//! can express.
//!
//! Text is Latin-1: each `char` up to U+00FF stands for one byte, so that any field value can be written,
//! printed and put into JSON.

use serde::{Deserialize, Serialize};

/// The field that names a case to the mirror.
pub const CASE: &str = "x-mirror-case";

/// The host that all requests are for.
pub const HOST: &str = "mirror.example:81";

/// A field line.
pub type Field = (String, String);

/// How the end of a body is told, in HTTP/1.1. In HTTP/2 only [`Length`](Self::Length) shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Framing {
    /// There is none, and nothing says so.
    None,
    /// By `Content-Length`.
    Length,
    /// By an empty chunk.
    Chunked,
    /// By the connection's end.
    Close,
}

/// A body, made of [`pattern`] bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Body {
    /// How its end is told.
    pub framing: Framing,
    /// Bytes in all. With [`Framing::None`] it is 0.
    pub length: usize,
    /// In how many pieces it is sent.
    pub pieces: usize,
    /// Milliseconds between two pieces.
    pub pause: u64,
    /// Whether chunks carry extensions.
    pub extensions: bool,
    /// What follows a chunked body.
    pub trailers: Vec<Field>,
}

/// A request to send.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// Any token.
    pub method: String,
    /// As it stands in the request line.
    pub target: String,
    /// `Host`, or `:authority`.
    pub host: Option<String>,
    /// HTTP/1.0 instead of 1.1.
    pub old: bool,
    /// All fields but `Host` and those that frame the body.
    pub fields: Vec<Field>,
    /// Whether the client asks before it sends the body.
    pub expects: bool,
    /// Its body.
    pub body: Body,
}

/// A response to give.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Response {
    /// Three digits.
    pub status: u16,
    /// What stands beside the status in HTTP/1.1.
    pub reason: String,
    /// All fields but those that frame the body.
    pub fields: Vec<Field>,
    /// Interim answers (1xx) sent before it.
    pub interim: Vec<u16>,
    /// Whether a client that asks before it sends its body gets this response instead of `100 Continue`.
    pub refuses: bool,
    /// Its body. To `HEAD`, and with 304, only the fields that describe it are sent.
    pub body: Body,
}

/// A request together with the response that it is to get.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Case {
    /// Its request.
    pub request: Request,
    /// The response to that.
    pub response: Response,
}

impl Body {
    /// No body.
    pub fn none() -> Self {
        Self::of(Framing::None, 0)
    }

    /// A body in one piece.
    pub fn of(framing: Framing, length: usize) -> Self {
        Self { framing, length, pieces: 1, pause: 0, extensions: false, trailers: Vec::new() }
    }

    /// Its pieces, none of them empty.
    pub fn split(&self) -> Vec<Vec<u8>> {
        let bytes = pattern(self.length);
        let size = self.length.div_ceil(self.pieces.max(1)).max(1);
        bytes.chunks(size).map(<[u8]>::to_vec).collect()
    }
}

impl Case {
    /// The plainest case, to build others from.
    pub fn plain() -> Self {
        let request = Request {
            method: "GET".into(),
            target: "/".into(),
            host: Some(HOST.into()),
            old: false,
            fields: Vec::new(),
            expects: false,
            body: Body::none(),
        };
        let response = Response {
            status: 200,
            reason: "OK".into(),
            fields: vec![("Date".into(), "Tue, 15 Nov 1994 08:12:31 GMT".into())],
            interim: Vec::new(),
            refuses: false,
            body: Body::of(Framing::Length, 0),
        };
        Self { request, response }
    }

    /// Whether the response carries no content, whatever its fields describe.
    pub fn is_bodyless(&self) -> bool {
        self.request.method == "HEAD" || matches!(self.response.status, 204 | 304)
    }
}

impl Request {
    /// Whether the client said that it takes trailers.
    pub fn takes_trailers(&self) -> bool {
        has_token(&self.fields, "te", "trailers")
    }
}

/// So many bytes without a short period, so that a part that is lost, doubled or moved shows.
pub fn pattern(length: usize) -> Vec<u8> {
    let byte = |index: u64| (index.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8;
    (0..length as u64).map(byte).collect()
}

/// Text as bytes.
pub fn bytes(text: &str) -> Vec<u8> {
    text.chars().map(|c| u8::try_from(c).expect("scripts are Latin-1")).collect()
}

/// Bytes as text.
pub fn latin1(bytes: &[u8]) -> String {
    bytes.iter().map(|&byte| char::from(byte)).collect()
}

/// Whether a field that is a list has this member, parameters apart.
pub fn has_token(fields: &[Field], name: &str, token: &str) -> bool {
    members(fields, name)
        .any(|member| member.split(';').next().is_some_and(|word| word.trim().eq_ignore_ascii_case(token)))
}

/// The members of a field that is a list of plain tokens.
pub fn members<'a>(fields: &'a [Field], name: &str) -> impl Iterator<Item = &'a str> {
    let lines = fields.iter().filter(move |(key, _)| key.eq_ignore_ascii_case(name));
    lines.flat_map(|(_, value)| value.split(',')).map(str::trim).filter(|member| !member.is_empty())
}

/// The fields that concern one hop of HTTP/1.1, by name; those that `Connection` names come on top. In HTTP/2
/// there are none (RFC 9113, 8.2.2).
pub const HOP_BY_HOP: [&str; 5] =
    ["connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"];

/// The fields that HTTP/2 can carry, names in lower case; of `TE`, that trailers are taken.
pub fn without_hop(fields: &[Field]) -> Vec<Field> {
    let named: Vec<String> = members(fields, "connection").map(str::to_ascii_lowercase).collect();
    let lower = fields.iter().map(|(name, value)| (name.to_ascii_lowercase(), value.clone()));
    let mut kept: Vec<Field> = lower
        .filter(|(name, _)| !HOP_BY_HOP.contains(&name.as_str()) && name != "te" && !named.contains(name))
        .collect();
    kept.extend(has_token(fields, "te", "trailers").then(|| ("te".into(), "trailers".into())));
    kept
}
