//! Calls to an activator's control port, over real TLS.

use std::{
    convert::Infallible,
    path::PathBuf,
    sync::{Arc, Mutex},
};

use http::Response;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use reveille_core::control::AttemptOutcome;
use serde_json::{Value, json};
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        crypto::ring,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    },
};

use super::*;

/// A certificate for the activators' name by an authority made for this test alone; both hold for a century.
const CA: &[u8] = include_bytes!("testdata/ca.pem");
const CERTIFICATE: &[u8] = include_bytes!("testdata/server.pem");
const KEY: &[u8] = include_bytes!("testdata/server.key");

/// Each request's line, token and body.
type Asked = Arc<Mutex<Vec<(String, String, Value)>>>;

/// An activator that answers every request the same, or never.
pub(in crate::cluster::fleet) struct Activator {
    pub(in crate::cluster::fleet) port: u16,
    asked: Asked,
    task: JoinHandle<()>,
}

impl Drop for Activator {
    fn drop(&mut self) {
        self.task.abort();
    }
}

pub(in crate::cluster::fleet) async fn activator(answer: Option<(u16, String)>) -> Activator {
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![CertificateDer::from_pem_slice(CERTIFICATE).unwrap()],
            PrivateKeyDer::from_pem_slice(KEY).unwrap(),
        )
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let asked = Asked::default();
    let note = Arc::clone(&asked);
    let task = tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let (acceptor, note, answer) = (acceptor.clone(), Arc::clone(&note), answer.clone());
            tokio::spawn(async move {
                let Ok(stream) = acceptor.accept(stream).await else { return };
                let service = service_fn(move |request: Request<Incoming>| {
                    let (note, answer) = (Arc::clone(&note), answer.clone());
                    async move { respond(request, &note, answer).await }
                });
                let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
            });
        }
    });
    Activator { port, asked, task }
}

async fn respond(
    request: Request<Incoming>,
    note: &Asked,
    answer: Option<(u16, String)>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let token = head.headers[header::AUTHORIZATION].to_str().unwrap().to_owned();
    let line = format!("{} {}", head.method, head.uri);
    note.lock().unwrap().push((line, token, serde_json::from_slice(&body).unwrap_or_default()));
    let Some((status, body)) = answer else { return std::future::pending().await };
    Ok(Response::builder().status(status).body(Full::from(body)).unwrap())
}

/// A folder with the two files, removed with it.
pub(in crate::cluster::fleet) struct Files(PathBuf);

impl Files {
    pub(in crate::cluster::fleet) fn new() -> Self {
        let name = format!("reveille-control-{}-{:016x}", std::process::id(), fastrand::u64(..));
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(folder.join("ca.pem"), CA).unwrap();
        std::fs::write(folder.join("token"), "one\n").unwrap();
        Self(folder)
    }

    pub(in crate::cluster::fleet) fn folder(&self) -> &std::path::Path {
        &self.0
    }

    pub(in crate::cluster::fleet) fn credentials(&self) -> Credentials {
        Credentials::new(self.0.join("ca.pem"), self.0.join("token"))
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn member() -> Member {
    Member { name: "a-1".into(), address: Some("127.0.0.1".parse().unwrap()) }
}

fn web() -> AppId {
    AppId::new("team", "web")
}

#[tokio::test]
async fn each_request_goes_to_its_path_with_the_token() {
    let files = Files::new();
    let report = json!({"boot": "b", "started": 3, "inFlight": 1, "held": 0, "quietMs": 0}).to_string();
    let activator = activator(Some((200, report))).await;
    let control = Control::new(files.credentials(), activator.port);
    assert_eq!(control.activity(&member(), &web()).await.unwrap().started, 3);
    control.shut(&member(), &web(), &Shut { epoch: 4, lease_ms: 5_000 }).await.unwrap();
    control.open(&member(), &web(), &Open { epoch: 4, outcome: AttemptOutcome::Awake }).await.unwrap();
    assert!(control.ports(&member(), Some(7)).await.is_err(), "that is no report of ports");
    let want = [
        ("GET /v1/apps/team/web/activity", Value::Null),
        ("POST /v1/apps/team/web/shut", json!({"epoch": 4, "leaseMs": 5_000})),
        ("POST /v1/apps/team/web/open", json!({"epoch": 4, "outcome": "awake"})),
        ("GET /v1/ports?after=7", Value::Null),
    ];
    let want = want.map(|(line, body)| (line.to_owned(), "Bearer one".to_owned(), body));
    assert_eq!(*activator.asked.lock().unwrap(), want);
}

#[tokio::test]
async fn a_refusal_says_why_and_one_of_the_token_has_it_read_again() {
    let files = Files::new();
    let problem =
        json!({"type": "about:blank", "title": "No", "status": 401, "detail": "the token has expired"});
    let activator = activator(Some((401, problem.to_string()))).await;
    let control = Control::new(files.credentials(), activator.port);
    let refused = control.activity(&member(), &web()).await.unwrap_err();
    assert_eq!(refused.to_string(), "activator a-1 refuses (401): the token has expired");
    std::fs::write(files.0.join("token"), "two").unwrap();
    control.activity(&member(), &web()).await.unwrap_err();
    assert_eq!(activator.asked.lock().unwrap()[1].1, "Bearer two");
}

#[tokio::test]
async fn who_does_not_answer_is_named_and_not_waited_for() {
    let files = Files::new();
    let silent = activator(None).await;
    let control = Control::new(files.credentials(), silent.port);
    let begin = std::time::Instant::now();
    let error = control.activity(&member(), &web()).await.unwrap_err();
    assert_eq!(error.to_string(), "activator a-1 does not answer: nothing within 2 s");
    assert!(begin.elapsed() < Duration::from_secs(10));
    let nowhere = Member { address: None, ..member() };
    assert_eq!(control.activity(&nowhere, &web()).await, Err(ControlError::NoAddress("a-1".into())));
    let long = activator(Some((200, " ".repeat(MAX_ANSWER + 1)))).await;
    let control = Control::new(files.credentials(), long.port);
    assert!(matches!(control.activity(&member(), &web()).await, Err(ControlError::Silent { .. })));
}

#[tokio::test]
async fn another_authority_is_not_trusted_and_files_that_hold_nothing_are_named() {
    let files = Files::new();
    let activator = activator(Some((200, "{}".into()))).await;
    let other = std::fs::read(files.0.join("ca.pem")).unwrap();
    std::fs::write(files.0.join("ca.pem"), CERTIFICATE).unwrap();
    let control = Control::new(files.credentials(), activator.port);
    // That certificate is no authority, so whatever it signs is not trusted; its holder is not, either, but by itself.
    let _ = control.activity(&member(), &web()).await.unwrap_err();
    for (file, text, word) in [("token", "", "no token"), ("ca.pem", "none", "no certificate")] {
        std::fs::write(files.0.join("token"), "one").unwrap();
        std::fs::write(files.0.join("ca.pem"), &other).unwrap();
        std::fs::write(files.0.join(file), text).unwrap();
        let error = files.credentials().check().await.unwrap_err().to_string();
        assert!(error.contains(word) && error.contains(file), "{error}");
    }
    std::fs::remove_file(files.0.join("token")).unwrap();
    assert!(files.credentials().check().await.unwrap_err().to_string().contains("cannot be read"));
}
