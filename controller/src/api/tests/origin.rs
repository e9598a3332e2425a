//! Hosts and origins that may call, and those that may not.

use super::*;

const LIST: &str = "/api/v1/apps";

async fn status_of(method: &str, path: &str, headers: &[(&str, &str)]) -> u16 {
    send(FakeApps::default(), request(method, path, headers, "")).await.status().as_u16()
}

#[tokio::test]
async fn hosts() {
    for (host, status) in [
        ("localhost", 200),
        ("LocalHost:1234", 200),
        ("127.0.0.1:9090", 200),
        ("127.8.8.8", 200),
        ("[::1]:9090", 200),
        ("[::ffff:127.0.0.1]", 200),
        ("192.0.2.7:80", 200),
        ("box.example:9090", 200),
        ("192.0.2.8", 403),
        ("evil.example", 403),
        ("localhost.evil.example", 403),
        ("127.0.0.1.evil.example:9090", 403),
        ("2130706433", 403),
        ("", 400),
        ("user@localhost", 400),
        ("local host", 400),
        ("localhost/x", 400),
    ] {
        assert_eq!(status_of("GET", LIST, &[("host", host)]).await, status, "{host:?}");
        assert_eq!(status_of("GET", "/livez", &[("host", host)]).await, 200, "{host:?}");
        assert_eq!(status_of("GET", "/metrics", &[("host", host)]).await, status, "{host:?}");
    }
}

#[tokio::test]
async fn a_port_bound_to_all_addresses_takes_any_address_but_no_name() {
    let hosts = AllowedHosts::new("[::]:9090".parse().unwrap(), []);
    assert!(hosts.allows("203.0.113.9") && hosts.allows("[2001:db8::1]") && hosts.allows("localhost"));
    assert!(!hosts.allows("evil.example"));
}

#[tokio::test]
async fn no_host_two_hosts_and_a_foreign_target() {
    let bare = Request::get(LIST).body(Body::empty()).unwrap();
    let body = problem(send(FakeApps::default(), bare).await, 400).await;
    assert!(body.detail.contains("no Host"), "{body:?}");
    let two = [("host", "localhost"), ("host", "localhost")];
    assert_eq!(status_of("GET", LIST, &two).await, 400);
    assert_eq!(status_of("GET", "http://evil.example/api/v1/apps", &[("host", "localhost")]).await, 400);
}

#[tokio::test]
async fn a_refused_host_is_named_escaped() {
    let mut request = request("GET", LIST, &[("host", "x")], "");
    let host = http::HeaderValue::from_bytes(b"evil<script>\xff").unwrap();
    request.headers_mut().insert(header::HOST, host);
    let body = problem(send(FakeApps::default(), request).await, 400).await;
    assert!(body.detail.contains(r"\u{fffd}"), "{body:?}");
}

#[tokio::test]
async fn pages_of_other_sites() {
    const WAKE: &str = "/api/v1/apps/local/web/wake";
    for (headers, get, post) in [
        (&[][..], 200, 202),
        (&[("origin", "http://localhost:9090")], 200, 202),
        (&[("origin", "https://LOCALHOST:9090")], 200, 202),
        (&[("origin", "http://localhost:3000")], 403, 403),
        (&[("origin", "http://127.0.0.1:9090")], 403, 403),
        (&[("origin", "https://evil.example")], 403, 403),
        (&[("origin", "null")], 403, 403),
        (&[("origin", "localhost:9090")], 403, 403),
        (&[("origin", "http://localhost:9090"), ("origin", "null")], 400, 400),
        (&[("sec-fetch-site", "same-origin")], 200, 202),
        (&[("sec-fetch-site", "none")], 200, 202),
        (&[("sec-fetch-site", "same-site")], 200, 403),
        (&[("sec-fetch-site", "cross-site")], 403, 403),
    ] {
        assert_eq!(status_of("GET", LIST, headers).await, get, "GET {headers:?}");
        assert_eq!(status_of("POST", WAKE, headers).await, post, "POST {headers:?}");
    }
    assert_eq!(status_of("POST", WAKE, &[("host", "evil.example")]).await, 403);
}

#[tokio::test]
async fn another_site_may_have_a_link_to_the_dashboard_and_no_more() {
    let link = [("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "navigate")];
    assert_eq!(status_of("GET", "/ui/", &link).await, 200);
    assert_eq!(status_of("GET", LIST, &link).await, 403);
    assert_eq!(
        status_of("GET", "/ui/", &[("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "no-cors")]).await,
        403
    );
    assert_eq!(status_of("GET", "/ui/js/main.js", &link).await, 403);
}
