//! How each allowed difference is taken out of a pair of messages, and what it still asks for.

use crate::differential::{
    Route, Speaks,
    allowed::{Rule, Side},
    message::{Message, Start},
    script::{Case, Field, Framing, HOP_BY_HOP, has_token, members},
};

/// What is different in another way than is allowed, and how.
type Wrong = (String, String);

impl Rule {
    /// Makes both messages equal in what may differ.
    pub(super) fn apply(
        self,
        case: &Case,
        route: Route,
        side: Side,
        direct: &mut Message,
        through: &mut Message,
    ) -> Result<(), Wrong> {
        match self {
            Self::Version => version(route, side, direct, through),
            Self::Reason => {
                if let (Start::Response { reason, .. }, Start::Response { reason: other, .. }) =
                    (&mut direct.start, &mut through.start)
                {
                    reason.clone_from(other);
                }
                Ok(())
            }
            Self::NameCase => {
                for (name, _) in direct.fields.iter_mut().chain(&mut direct.trailers) {
                    name.make_ascii_lowercase();
                }
                Ok(())
            }
            Self::Order => {
                for message in [direct, through] {
                    // Stable: the order within a name stays.
                    message.fields.sort_by(|(one, _), (other, _)| one.cmp(other));
                    message.trailers.sort_by(|(one, _), (other, _)| one.cmp(other));
                }
                Ok(())
            }
            Self::HopByHop => hop_by_hop(direct, through),
            Self::Framing => framing(case, side, direct, through),
            Self::TrailersGone => {
                if through.trailers.is_empty() {
                    direct.trailers.clear();
                }
                Ok(())
            }
            Self::Gone(name) => {
                if through.values(name).is_empty() {
                    direct.remove(name);
                }
                Ok(())
            }
            Self::Added(name) => {
                if direct.values(name).is_empty() && through.values(name).len() == 1 {
                    through.remove(name);
                }
                Ok(())
            }
            Self::Set(name, value) => {
                let values = through.values(name).join(" | ");
                direct.remove(name);
                through.remove(name);
                let expected = value(case).unwrap_or_default();
                if values == expected {
                    return Ok(());
                }
                Err((format!("field {name}"), format!("expected {expected:?}, through {values:?}")))
            }
            Self::RequestId => request_id(direct, through),
            Self::OriginForm => {
                if let Start::Request { method, target } = &mut direct.start {
                    *target = origin_form(method, target);
                }
                Ok(())
            }
            Self::AsteriskLost => {
                if let (Start::Request { target, .. }, Start::Request { target: other, .. }) =
                    (&mut direct.start, &through.start)
                    && (target.as_str(), other.as_str()) == ("*", "/")
                {
                    target.clone_from(other);
                }
                Ok(())
            }
            Self::TeTrailers => {
                let takes = has_token(&direct.fields, "te", "trailers");
                direct.remove("te");
                direct.fields.extend(takes.then(|| ("te".into(), "trailers".into())));
                Ok(())
            }
            Self::CookiesJoined => {
                let joined = direct.values("cookie").join("; ");
                if !direct.values("cookie").is_empty() {
                    direct.remove("cookie");
                    direct.fields.push(("cookie".into(), joined));
                }
                Ok(())
            }
        }
    }
}

fn version(route: Route, side: Side, direct: &mut Message, through: &Message) -> Result<(), Wrong> {
    let expected: &[&str] = match (side, route.app) {
        (Side::Request, Speaks::H1) => &["HTTP/1.1"],
        (Side::Request, Speaks::H2) => &["HTTP/2"],
        (Side::Response, _) => &["HTTP/1.0", "HTTP/1.1"],
    };
    direct.version.clone_from(&through.version);
    if expected.contains(&through.version.as_str()) {
        return Ok(());
    }
    Err(("version".into(), format!("expected {expected:?}, through {}", through.version)))
}

fn hop_by_hop(direct: &mut Message, through: &mut Message) -> Result<(), Wrong> {
    let named: Vec<String> = members(&direct.fields, "connection").map(str::to_ascii_lowercase).collect();
    for name in named.iter().map(String::as_str).chain(HOP_BY_HOP) {
        // Rules of their own speak of these two.
        if name != "te" && name != "transfer-encoding" {
            direct.remove(name);
        }
    }
    let own = |field: &Field| {
        field.0 == "connection" && matches!(field.1.to_ascii_lowercase().as_str(), "close" | "keep-alive")
    };
    through.fields.retain(|field| !own(field));
    Ok(())
}

fn framing(case: &Case, side: Side, direct: &mut Message, through: &mut Message) -> Result<(), Wrong> {
    let told = direct.values("content-length").join(", ");
    let tells = through.values("content-length").join(", ");
    // A length that was not told may be told where the whole body shows it; not where there is none to see.
    let is_seen = side == Side::Request || !case.is_bodyless();
    let made_up = told.is_empty() && !tells.is_empty() && !(is_seen && tells == direct.length.to_string());
    // What a length beside `Transfer-Encoding` would mean, the reader refuses.
    let result = if made_up || (!told.is_empty() && tells != told) {
        Err(("field content-length".into(), format!("directly {told:?}, through {tells:?}")))
    } else {
        Ok(())
    };
    for message in [direct, through] {
        message.remove("content-length");
        message.remove("transfer-encoding");
        message.framing = Framing::None;
    }
    result
}

fn request_id(direct: &mut Message, through: &mut Message) -> Result<(), Wrong> {
    const NAME: &str = "x-request-id";
    let own = direct.values(NAME).concat();
    let is_good = (1..=128).contains(&own.len()) && own.bytes().all(|byte| byte.is_ascii_graphic());
    let id = through.values(NAME).join(" | ");
    direct.remove(NAME);
    through.remove(NAME);
    let is_made = id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    if if is_good { id == own } else { is_made } {
        return Ok(());
    }
    Err((format!("field {NAME}"), format!("directly {own:?}, through {id:?}")))
}

/// An absolute target as the app has to see it.
fn origin_form(method: &str, target: &str) -> String {
    let Some(rest) = target.strip_prefix("http://") else { return target.to_owned() };
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    match &rest[end..] {
        "" if method == "OPTIONS" => "*".to_owned(),
        target if target.starts_with('/') => target.to_owned(),
        target => format!("/{target}"),
    }
}
