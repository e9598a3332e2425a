//! The client of the activators' control ports.

use std::{net::SocketAddr, time::Duration};

use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Bytes;
use reveille_core::{
    api::ProblemBody,
    app::AppId,
    control::{ActivityReport, AllActivity, LONG_POLL, Open, PortsReport, Shut, VERSION},
};
use serde::{Serialize, de::DeserializeOwned};

use super::{ControlError, Credentials, Member};

/// How long a report may take.
const REPORT_TIMEOUT: Duration = Duration::from_secs(2);
/// How long a shut or an open may take: the activator may ask the API server meanwhile.
const GATE_TIMEOUT: Duration = Duration::from_secs(3);
/// How long a long poll may take.
const POLL_TIMEOUT: Duration = LONG_POLL.saturating_add(Duration::from_secs(2));
/// The longest answer, in bytes: some 10,000 ports, or as many busy apps.
const MAX_ANSWER: usize = 2 * 1024 * 1024;
/// The longest text of a refusal that is passed on, in characters.
const MAX_DETAIL: usize = 300;

/// The client of the activators' control ports.
pub struct Control {
    credentials: Credentials,
    port: u16,
}

/// One request.
struct Call {
    method: Method,
    path: String,
    body: Bytes,
    within: Duration,
}

impl Control {
    /// A client of that port, on every activator.
    pub fn new(credentials: Credentials, port: u16) -> Self {
        Self { credentials, port }
    }

    /// Where the activator listens: at once if `after` is not what it would say, else when it changes.
    pub(super) async fn ports(
        &self,
        member: &Member,
        after: Option<u64>,
    ) -> Result<PortsReport, ControlError> {
        let after = after.map_or(String::new(), |revision| format!("?after={revision}"));
        let call = Call {
            method: Method::GET,
            path: format!("/{VERSION}/ports{after}"),
            body: Bytes::new(),
            within: POLL_TIMEOUT,
        };
        self.ask(member, call).await
    }

    pub(super) async fn activity(
        &self,
        member: &Member,
        app: &AppId,
    ) -> Result<ActivityReport, ControlError> {
        let path = of(app, "activity");
        let call = Call { method: Method::GET, path, body: Bytes::new(), within: REPORT_TIMEOUT };
        self.ask(member, call).await
    }

    pub(super) async fn under_way(&self, member: &Member) -> Result<AllActivity, ControlError> {
        let path = format!("/{VERSION}/activity");
        let call = Call { method: Method::GET, path, body: Bytes::new(), within: REPORT_TIMEOUT };
        self.ask(member, call).await
    }

    pub(super) async fn shut(
        &self,
        member: &Member,
        app: &AppId,
        shut: &Shut,
    ) -> Result<ActivityReport, ControlError> {
        self.ask(member, post(of(app, "shut"), shut)).await
    }

    pub(super) async fn open(&self, member: &Member, app: &AppId, open: &Open) -> Result<(), ControlError> {
        self.send(member, post(of(app, "open"), open)).await.map(|_| ())
    }

    async fn ask<T: DeserializeOwned>(&self, member: &Member, call: Call) -> Result<T, ControlError> {
        let body = self.send(member, call).await?;
        serde_json::from_slice(&body)
            .map_err(|error| silent(member, &format!("its answer cannot be read: {error}")))
    }

    async fn send(&self, member: &Member, call: Call) -> Result<Bytes, ControlError> {
        let address = member.address.ok_or_else(|| ControlError::NoAddress(member.name.clone()))?;
        let within = call.within;
        let exchange = self.exchange(member, SocketAddr::new(address, self.port), call);
        let late = |_| silent(member, &format!("nothing within {} s", within.as_secs()));
        tokio::time::timeout(within, exchange).await.map_err(late)?
    }

    async fn exchange(&self, member: &Member, at: SocketAddr, call: Call) -> Result<Bytes, ControlError> {
        let with = self.credentials.current().await.map_err(|error| silent(member, &error.to_string()))?;
        let request = Request::builder()
            .method(call.method)
            .uri(format!("https://{at}{}", call.path))
            .header(header::AUTHORIZATION, with.authorization)
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(call.body))
            .expect("the parts of names are DNS labels");
        let answer = with.client.request(request).await.map_err(|error| silent(member, &in_full(&error)))?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), MAX_ANSWER).collect().await;
        let body =
            body.map_err(|error| silent(member, &format!("its answer broke off: {error}")))?.to_bytes();
        if status.is_success() {
            return Ok(body);
        }
        if status == StatusCode::UNAUTHORIZED {
            self.credentials.doubt().await;
        }
        let detail = serde_json::from_slice::<ProblemBody>(&body).map_or_else(
            |_| String::from_utf8_lossy(&body).chars().take(MAX_DETAIL).collect(),
            |problem| problem.detail.chars().take(MAX_DETAIL).collect(),
        );
        Err(ControlError::Refused { pod: member.name.clone(), status: status.as_u16(), detail })
    }
}

fn of(app: &AppId, what: &str) -> String {
    format!("/{VERSION}/apps/{}/{}/{what}", app.namespace, app.name)
}

fn post(path: String, body: &impl Serialize) -> Call {
    let body = serde_json::to_vec(body).expect("messages are maps with text for keys").into();
    Call { method: Method::POST, path, body, within: GATE_TIMEOUT }
}

fn silent(member: &Member, why: &str) -> ControlError {
    ControlError::Silent { pod: member.name.clone(), why: why.to_owned() }
}

/// With what is behind it, which is where a client says what happened.
fn in_full(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(error) = next {
        text = format!("{text}: {error}");
        next = error.source();
    }
    text
}

#[cfg(test)]
#[path = "control_tests.rs"]
pub(super) mod tests;
