//! Who may call: a web page that the user happens to visit must not steer Reveille.
//!
//! Two attacks are in the way of a port on localhost. *DNS rebinding*: a page of `evil.example` lets its name
//! resolve to 127.0.0.1 and then calls itself; the browser sends `Host: evil.example`, so unknown hosts are
//! refused. *Cross-site request forgery*: a page calls this address directly; the browser says so in
//! `Sec-Fetch-Site` and `Origin`, and these must name this very address.
//!
//! The rule for `Host`: `localhost`, a loopback address, the address that the port is bound to, or a name from
//! [`AllowedHosts`]. Ports are not compared, since a forwarded port differs from ours. A port bound to all
//! addresses takes any address (not any name) as its own: an address cannot be rebound.
//!
//! `/livez` and `/readyz` are not checked: load balancers and kubelet call them by whatever address they know,
//! and they tell nothing. `/metrics` is: it names apps.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, HeaderName, HeaderValue, header, uri::Authority};

use super::{
    ApiState,
    problem::{Kind, Problem, escaped},
};

/// Fetch metadata (W3C): whose page the call comes from. Sent by browsers only.
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// The same: how the answer is to be used.
const SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");

/// The hosts by which clients may call, besides `localhost` and loopback addresses.
#[derive(Clone, Debug)]
pub struct AllowedHosts {
    /// The address that the port is bound to.
    bound: IpAddr,
    /// Names, in lower case.
    names: Arc<[String]>,
}

impl AllowedHosts {
    /// Allows the address that the port is bound to, and `names` (without port; case does not matter).
    pub fn new(bound: SocketAddr, names: impl IntoIterator<Item = String>) -> Self {
        let names = names.into_iter().map(|name| name.to_ascii_lowercase()).collect();
        Self { bound: bound.ip().to_canonical(), names }
    }

    /// Whether `host`, without its port, may be called.
    pub(super) fn allows(&self, host: &str) -> bool {
        let literal = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
        if let Ok(address) = literal.parse::<IpAddr>() {
            let address = address.to_canonical();
            return address.is_loopback() || address == self.bound || self.bound.is_unspecified();
        }
        host.eq_ignore_ascii_case("localhost") || self.names.contains(&host.to_ascii_lowercase())
    }
}

/// Lets a call pass, or says why not.
pub(super) async fn check(State(state): State<ApiState>, request: Request, next: Next) -> Response {
    match examine(&state.allowed_hosts, &request) {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    }
}

fn examine(allowed: &AllowedHosts, request: &Request) -> Result<(), Problem> {
    let headers = request.headers();
    let host = host_of(request)?;
    if !allowed.allows(host.host()) {
        let shown = escaped(host.host());
        let detail = format!(
            "this port does not answer to the host {shown}; call it by localhost, by the address it is bound to, or in a cluster by \
             the name of its Service or one that --api-host names (the chart: scaleApi.hosts)"
        );
        return Err(Problem::new(Kind::ForeignHost, detail));
    }
    let foreign = |who: String| {
        let detail = format!(
            "the call comes from {who}, not from {}; only pages of this address may call",
            escaped(host.as_str())
        );
        Problem::new(Kind::ForeignOrigin, detail)
    };
    if let Some(origin) = only(headers, &header::ORIGIN)?
        && !is_same_origin(origin, &host)
    {
        return Err(foreign(format!("the origin {}", escaped(&text(origin)))));
    }
    // `same-site` passes here for reading: another port of this host is same-site, and cannot read the answer.
    for site in headers.get_all(SEC_FETCH_SITE) {
        let ours = site == "same-origin" || site == "none";
        // A link on another site to the dashboard is no call: its page tells nothing by itself, and stands in no frame.
        let is_link = request.method().is_safe()
            && headers.get(SEC_FETCH_MODE).is_some_and(|mode| mode == "navigate")
            && matches!(request.uri().path(), "/" | "/ui" | "/ui/");
        if (site == "cross-site" && !is_link) || (!ours && !request.method().is_safe()) {
            return Err(foreign(format!("another web page ({})", escaped(&text(site)))));
        }
    }
    Ok(())
}

/// The one host that the request names (RFC 9112, section 3.2: anything else is 400).
fn host_of(request: &Request) -> Result<Authority, Problem> {
    let bad = |detail: &str| Problem::new(Kind::BadRequest, detail);
    let value = only(request.headers(), &header::HOST)?
        .ok_or_else(|| bad("the request has no Host header; send the address that you called"))?;
    let host = Authority::try_from(value.as_bytes())
        .ok()
        .filter(|host| !host.as_str().contains('@'))
        .ok_or_else(|| bad(&format!("the Host header {} is no host", escaped(&text(value)))))?;
    match request.uri().authority() {
        Some(target) if *target != host => {
            Err(bad("the request's target names another host than its Host header"))
        }
        _ => Ok(host),
    }
}

/// The header's value; an error if it is there twice.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a HeaderValue>, Problem> {
    let mut values = headers.get_all(name).iter();
    let first = values.next();
    if values.next().is_some() {
        return Err(Problem::new(Kind::BadRequest, format!("the header {name} is there twice")));
    }
    Ok(first)
}

/// Whether the origin is that of this very address. `null` (a sandboxed frame, a local file) is not.
/// Schemes are not compared: behind a proxy that ends TLS, the page's is https and ours is not.
fn is_same_origin(origin: &HeaderValue, host: &Authority) -> bool {
    let Ok(origin) = origin.to_str() else { return false };
    let authority = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
    authority.is_some_and(|authority| authority.eq_ignore_ascii_case(host.as_str()))
}

fn text(value: &HeaderValue) -> String {
    String::from_utf8_lossy(value.as_bytes()).into_owned()
}
