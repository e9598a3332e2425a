//! Which app is meant, and what is said about one that does not exist, by a server that answers as written.

use reveille_core::api::WakeRequest;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use super::*;

const UNKNOWN: &str = r#"{"type":"https://reveille.dev/errors/unknown-app","title":"There is no such app",
    "status":404,"detail":"there is no app local/wbe"}"#;
const BLOCKED: &str = r#"{"type":"https://reveille.dev/errors/wake-blocked","title":"The app's wakes fail",
    "status":503,"detail":"local/wbe failed"}"#;

fn app(namespace: &str, name: &str) -> String {
    format!(
        r#"{{"namespace":"{namespace}","name":"{name}","phase":"Asleep","since":"2026-01-02T03:04:05Z","replicas":0,
            "inFlight":0,"held":0,"ttl":"30s","listen":[],"wakeOnRequest":true}}"#
    )
}

/// Answers every call about one app with `refusal`, and the list with these apps; or drops the call for it.
async fn server(refusal: &'static str, apps: Option<Vec<String>>) -> Client {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut asked = Vec::new();
            while !asked.windows(4).any(|window| window == b"\r\n\r\n") {
                stream.read_buf(&mut asked).await.unwrap();
            }
            let list = asked.starts_with(b"GET /api/v1/apps HTTP");
            let (status, body) = match (&apps, list) {
                (None, true) => continue,
                (Some(apps), true) => {
                    let apps = apps.join(",");
                    ("200 OK", format!(r#"{{"time":"2026-01-02T03:04:05Z","apps":[{apps}]}}"#))
                }
                (_, false) => ("404 Not Found", refusal.to_owned()),
            };
            let head = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n", body.len());
            stream.write_all((head + &body).as_bytes()).await.unwrap();
        }
    });
    Client::new(url.parse().unwrap())
}

async fn hint_for(
    refusal: &'static str,
    apps: Option<Vec<String>>,
    asked: &AppId,
) -> (String, Option<String>) {
    let client = server(refusal, apps).await;
    let error = client.wake(asked, &WakeRequest::default()).await.unwrap_err();
    match explain(&client, asked, error).await {
        CliError::Told(report) => (report.message, report.hint),
        CliError::NobodyReads => panic!("somebody reads"),
    }
}

#[tokio::test]
async fn the_app_that_was_meant_is_named() {
    let apps = || Some(vec![app("local", "web"), app("local", "api"), app("ml", "triton")]);
    let wbe = AppId::local("wbe");
    let (message, hint) = hint_for(UNKNOWN, apps(), &wbe).await;
    assert_eq!((message.as_str(), hint.as_deref()), ("there is no app local/wbe", Some("did you mean web?")));
    let (_, hint) = hint_for(UNKNOWN, apps(), &AppId::new("ml", "tritn")).await;
    assert_eq!(hint.as_deref(), Some("did you mean ml/triton?"));
    for (refusal, apps, asked) in
        [(UNKNOWN, apps(), AppId::local("postgres")), (UNKNOWN, None, wbe.clone()), (BLOCKED, apps(), wbe)]
    {
        let (message, hint) = hint_for(refusal, apps, &asked).await;
        assert_eq!(hint, None, "{asked}");
        assert!(message.starts_with("there is no app") || refusal == BLOCKED, "{message}");
    }
}

async fn meant(apps: Option<Vec<String>>, asked: &str) -> Result<String, (Exit, String, Option<String>)> {
    let client = server(UNKNOWN, apps).await;
    match resolve(&client, asked.parse().unwrap()).await {
        Ok(app) => Ok(app.to_string()),
        Err(CliError::Told(report)) => Err((report.exit, report.message, report.hint)),
        Err(CliError::NobodyReads) => panic!("somebody reads"),
    }
}

#[tokio::test]
async fn a_bare_name_is_the_only_app_of_that_name() {
    let apps = || Some(vec![app("ml", "triton"), app("ml", "web"), app("shop", "web"), app("local", "api")]);
    assert_eq!(meant(apps(), "triton").await.unwrap(), "ml/triton");
    assert_eq!(meant(apps(), "api").await.unwrap(), "local/api");
    assert_eq!(meant(None, "shop/web").await.unwrap(), "shop/web", "asks for nothing");
    let (exit, message, hint) = meant(apps(), "web").await.unwrap_err();
    assert_eq!((exit, message.as_str()), (Exit::Failed, "2 apps are named web: ml/web, shop/web"));
    assert!(hint.unwrap().contains("NAMESPACE/NAME"));
    let (exit, message, hint) = meant(apps(), "tritn").await.unwrap_err();
    assert_eq!((exit, message.as_str()), (Exit::Failed, "there is no app named tritn"));
    assert_eq!(hint.as_deref(), Some("did you mean ml/triton?"));
}

#[tokio::test]
async fn of_an_unknown_name_in_local_mode_the_server_says_what_is_wrong() {
    for apps in [vec![], vec![app("local", "api")]] {
        assert_eq!(meant(Some(apps), "web").await.unwrap(), "local/web");
    }
    assert_eq!(meant(None, "web").await.unwrap_err().0, Exit::Unreachable, "no list, no answer");
}
