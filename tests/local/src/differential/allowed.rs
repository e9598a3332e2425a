//! The documented differences between a direct exchange and one through the activator, as data: everything that
//! is not here must be equal. The user's view of the same list is `docs/reference/http.md`.

use super::{
    Route, Speaks,
    script::{Case, Framing, HOST, members},
};

/// One documented difference.
#[derive(Clone, Copy, Debug)]
pub struct Allowed {
    /// Where it may be seen.
    pub side: Side,
    /// What it is.
    pub rule: Rule,
    /// In which cases.
    pub when: fn(&Case, Route) -> bool,
    /// Who says so.
    pub why: &'static str,
}

/// Where two messages are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// At the app.
    Request,
    /// At the client.
    Response,
}

/// What may differ. Each is as narrow as it can be: what is changed must be changed in this way.
#[derive(Clone, Copy, Debug)]
pub enum Rule {
    /// The version is that of the receiver's own connection.
    Version,
    /// The reason is another, or none.
    Reason,
    /// Names are in lower case.
    NameCase,
    /// Fields of different names stand in another order. Those of one name never do.
    Order,
    /// Fields of one hop are gone, all of them; of its own, the activator may say `Connection` only.
    HopByHop,
    /// The end of the body is told by other means. A length that was told stays, and none is made up.
    Framing,
    /// All trailers are gone. A part of them must not be.
    TrailersGone,
    /// The field is gone.
    Gone(&'static str),
    /// The field is there although it was not.
    Added(&'static str),
    /// The field has this one value, or is not there.
    Set(&'static str, fn(&Case) -> Option<String>),
    /// A request id is made unless there is a good one.
    RequestId,
    /// The target lacks scheme and authority.
    OriginForm,
    /// The target `*` has become `/`.
    AsteriskLost,
    /// Of `TE`, only that trailers are taken.
    TeTrailers,
    /// Several `Cookie` lines are one.
    CookiesJoined,
}

const ALWAYS: fn(&Case, Route) -> bool = |_, _| true;

/// All documented differences, in the order in which they are looked at.
pub const DOCUMENTED: &[Allowed] = &[
    Allowed {
        side: Side::Request,
        rule: Rule::Version,
        when: ALWAYS,
        why: "the version concerns one hop (RFC 9110, 2.5); a client of HTTP/1.0 is passed on as 1.1",
    },
    Allowed {
        side: Side::Response,
        rule: Rule::Version,
        when: |case, _| case.request.old,
        why: "a client of HTTP/1.0 is answered in 1.0 (RFC 9112, 2.3 lets it be either)",
    },
    Allowed {
        side: Side::Response,
        rule: Rule::Reason,
        when: |_, route| !route.is_all(Speaks::H1),
        why: "HTTP/2 has no reasons (RFC 9113, 8.3.2), and 1.1 ignores them (RFC 9112, 4)",
    },
    Allowed {
        side: Side::Response,
        rule: Rule::Reason,
        when: |case, _| !case.response.reason.is_ascii(),
        why: "a reason that is not ASCII is read as none, and nobody is to read it (RFC 9112, 4)",
    },
    Allowed {
        side: Side::Request,
        rule: Rule::NameCase,
        when: ALWAYS,
        why: "field names are case-insensitive (RFC 9110, 5.1); sent in lower case, as HTTP/2 asks",
    },
    Allowed { side: Side::Response, rule: Rule::NameCase, when: ALWAYS, why: "as for requests" },
    Allowed {
        side: Side::Request,
        rule: Rule::TeTrailers,
        when: ALWAYS,
        why: "TE concerns one hop; that trailers are taken is passed on (RFC 9110, 10.1.4)",
    },
    Allowed {
        side: Side::Request,
        rule: Rule::HopByHop,
        when: ALWAYS,
        why: "Connection, what it names, and their kin concern one hop (RFC 9110, 7.6.1)",
    },
    Allowed { side: Side::Response, rule: Rule::HopByHop, when: ALWAYS, why: "as for requests" },
    Allowed {
        side: Side::Request,
        rule: Rule::Framing,
        when: ALWAYS,
        why: "Transfer-Encoding concerns one hop (RFC 9112, 6.1), and HTTP/2 has none (RFC 9113, 8.1)",
    },
    Allowed { side: Side::Response, rule: Rule::Framing, when: ALWAYS, why: "as for requests" },
    Allowed {
        side: Side::Response,
        rule: Rule::TrailersGone,
        when: |case, route| route.client == Speaks::H1 && !case.request.takes_trailers(),
        why: "trailers may be discarded unless the client said that it takes them (RFC 9110, 6.5.1)",
    },
    Allowed {
        side: Side::Response,
        rule: Rule::Gone("trailer"),
        when: |case, _| {
            (case.is_bodyless() || case.request.old) && case.response.body.framing == Framing::Chunked
        },
        why: "an answer to HEAD may lack what only sending the body would tell (RFC 9110, 9.3.2), and to 1.0 no \
              trailers can be sent",
    },
    Allowed {
        side: Side::Response,
        rule: Rule::Added("date"),
        when: |case, _| members(&case.response.fields, "date").next().is_none(),
        why: "a recipient with a clock dates what it forwards undated (RFC 9110, 6.6.1)",
    },
    Allowed {
        side: Side::Request,
        rule: Rule::OriginForm,
        when: |case, _| case.request.target.starts_with("http://"),
        why: "an origin server is asked in origin form (RFC 9112, 3.2.1), or by `*` (3.2.4)",
    },
    Allowed {
        side: Side::Request,
        rule: Rule::AsteriskLost,
        when: |case, _| case.request.method == "OPTIONS" && case.request.target == format!("http://{HOST}"),
        why: "known limit, against RFC 9112, 3.2.4: `http::Uri` gives an absolute target without a path the \
              path `/`, so OPTIONS of the server is not told from OPTIONS of its root",
    },
    Allowed {
        side: Side::Request,
        rule: Rule::Added("host"),
        when: |case, _| case.request.host.is_none(),
        why: "HTTP/1.1 wants a Host (RFC 9112, 3.2), HTTP/1.0 does not",
    },
    Allowed {
        side: Side::Request,
        rule: Rule::Set("x-forwarded-for", |_| Some("127.0.0.1".into())),
        when: ALWAYS,
        why: "the app is told who called; what a stranger says about that is replaced",
    },
    Allowed {
        side: Side::Request,
        rule: Rule::Set("x-forwarded-proto", |_| Some("http".into())),
        when: ALWAYS,
        why: "as above",
    },
    Allowed {
        side: Side::Request,
        rule: Rule::Set("x-forwarded-host", called),
        when: ALWAYS,
        why: "as above",
    },
    Allowed {
        side: Side::Request,
        rule: Rule::Set("forwarded", |case| {
            let host = called(case).map_or_else(String::new, |host| format!("host=\"{host}\";"));
            Some(format!("for=127.0.0.1;{host}proto=http"))
        }),
        when: ALWAYS,
        why: "as above (RFC 7239)",
    },
    Allowed {
        side: Side::Request,
        rule: Rule::RequestId,
        when: ALWAYS,
        why: "a request has an id, its own or a new one",
    },
    Allowed {
        side: Side::Request,
        rule: Rule::CookiesJoined,
        when: |_, route| route.client == Speaks::H2 && route.app == Speaks::H1,
        why: "cookie crumbs are joined before HTTP/1.1 (RFC 9113, 8.2.3)",
    },
    Allowed {
        side: Side::Request,
        rule: Rule::Order,
        when: ALWAYS,
        why: "the order of fields of different names means nothing (RFC 9110, 5.3)",
    },
    Allowed { side: Side::Response, rule: Rule::Order, when: ALWAYS, why: "as for requests" },
];

/// The host that a client named, if it did.
fn called(case: &Case) -> Option<String> {
    let absolute = case.request.target.starts_with("http://").then(|| HOST.to_owned());
    case.request.host.clone().or(absolute)
}
