//! The address of a Reveille as the user gives it in `--server`.

use std::{fmt, str::FromStr};

use http::Uri;

/// An `http://` address, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerUrl {
    /// Host and port as the user wrote them: what `Host` says.
    authority: String,
    /// A name or an address, without brackets.
    host: String,
    port: u16,
    /// What stands before every path, without a slash at its end. Empty most of the time.
    prefix: String,
}

impl ServerUrl {
    /// What to connect to.
    pub fn address(&self) -> (&str, u16) {
        (&self.host, self.port)
    }

    /// The value of `Host`.
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// The request target of a path that begins with a slash.
    pub fn target(&self, path: &str) -> String {
        format!("{}{path}", self.prefix)
    }
}

impl fmt::Display for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}{}", self.authority, self.prefix)
    }
}

impl FromStr for ServerUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = |why: &str| format!("{text:?} is no address of a server: {why}");
        let example = "write it like http://127.0.0.1:9090";
        if !text.contains("://") {
            return Err(wrong(&format!("the scheme is missing; {example}")));
        }
        let uri: Uri = text.parse().map_err(|error| wrong(&format!("{error}; {example}")))?;
        match uri.scheme_str() {
            Some("http") => {}
            Some("https") => {
                return Err(wrong("https is not supported yet; use http:// over localhost or a tunnel"));
            }
            _ => return Err(wrong(&format!("only http:// is understood; {example}"))),
        }
        let authority = uri.authority().ok_or_else(|| wrong(&format!("the host is missing; {example}")))?;
        if authority.as_str().contains('@') {
            return Err(wrong("it must not hold a user or a password"));
        }
        if uri.query().is_some() {
            return Err(wrong("it must not hold a query"));
        }
        // `Authority::port` says None for a port that is out of range, too.
        let port = match authority.as_str()[authority.host().len()..].strip_prefix(':') {
            Some(port) => port.parse().ok().filter(|port| *port != 0),
            None => Some(80),
        };
        let host = authority.host();
        Ok(Self {
            authority: authority.to_string(),
            host: host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host).to_owned(),
            port: port.ok_or_else(|| wrong("the port is no number from 1 to 65535"))?,
            prefix: prefix(uri.path()).to_owned(),
        })
    }
}

/// Without the slash at its end, and without the dashboard's own part: addresses are copied from browsers.
fn prefix(path: &str) -> &str {
    let path = path.trim_end_matches('/');
    path.strip_suffix("/ui").unwrap_or(path).trim_end_matches('/')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_taken_apart() {
        for (text, host, port, target, shown) in [
            ("http://127.0.0.1:9090", "127.0.0.1", 9090, "/x", "http://127.0.0.1:9090"),
            ("http://localhost:9090/", "localhost", 9090, "/x", "http://localhost:9090"),
            ("http://[::1]:9", "::1", 9, "/x", "http://[::1]:9"),
            ("http://[::1]:9/ui/", "::1", 9, "/x", "http://[::1]:9"),
            ("http://box.example/reveille/", "box.example", 80, "/reveille/x", "http://box.example/reveille"),
        ] {
            let url: ServerUrl = text.parse().unwrap();
            assert_eq!((url.address(), url.target("/x").as_str()), ((host, port), target));
            assert_eq!(url.to_string(), shown);
        }
    }

    #[test]
    fn wrong_addresses_say_why() {
        for (text, why) in [
            ("127.0.0.1:9090", "scheme is missing"),
            ("https://box:9090", "https is not supported yet"),
            ("ftp://box", "only http://"),
            ("http://", "http://127.0.0.1:9090"),
            ("http://me:secret@box", "password"),
            ("http://box:0", "1 to 65535"),
            ("http://box:99999", "1 to 65535"),
            ("http://box/?x", "query"),
            ("http://bo x", "http://127.0.0.1:9090"),
        ] {
            let error = text.parse::<ServerUrl>().unwrap_err();
            assert!(error.contains(why), "{text}: {error}");
        }
    }
}
