//! The client against sockets that answer as written.

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use super::*;
use crate::exit::{CliError, Exit};

const STATUS: &str = r#"{"namespace":"local","name":"web","phase":"Asleep","since":"2026-01-02T03:04:05Z",
    "replicas":0,"inFlight":0,"held":0,"ttl":"30s","listen":["127.0.0.1:8081"],"wakeOnRequest":true,"later":1}"#;

/// Answers one connection, and returns what it was asked.
async fn answering(answer: String) -> (Client, tokio::task::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut asked = Vec::new();
        let complete = |asked: &[u8]| {
            let text = String::from_utf8_lossy(asked);
            text.split_once("\r\n\r\n")
                .is_some_and(|(head, body)| !head.contains("content-type") || body.ends_with('}'))
        };
        while !complete(&asked) {
            stream.read_buf(&mut asked).await.unwrap();
        }
        stream.write_all(answer.as_bytes()).await.unwrap();
        String::from_utf8(asked).unwrap()
    });
    (Client::new(url.parse().unwrap()), server)
}

fn http(status: &str, kind: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

#[tokio::test]
async fn a_key_is_sent_as_it_is_without_the_space_around_it() {
    let (client, server) = answering(http("200 OK", "application/json", STATUS)).await;
    let client = client.with_key(Some(" reveille_abc\n")).unwrap();
    client.get(&AppId::local("web")).await.unwrap();
    assert!(server.await.unwrap().contains("\r\nauthorization: Bearer reveille_abc\r\n"));
    assert!(!format!("{client:?}").contains("abc"), "it is shown to nobody");
    for bad in ["two\nlines", "a b", "é"] {
        assert!(client.clone().with_key(Some(bad)).is_err(), "{bad}");
    }
}

#[tokio::test]
async fn a_missing_key_is_told_with_what_to_do() {
    let problem = r#"{"type":"https://reveille.dev/errors/unauthorized","title":"t","status":401,"detail":"this call needs a key"}"#;
    let (client, _server) = answering(http("401 Unauthorized", "application/problem+json", problem)).await;
    let CliError::Told(report) = client.list().await.unwrap_err().into() else { panic!() };
    assert_eq!((report.exit, report.message.as_str()), (Exit::Failed, "this call needs a key"));
    assert!(report.hint.unwrap().contains("REVEILLE_KEY_FILE"));
}

#[tokio::test]
async fn events_come_until_the_other_side_has_enough() {
    let stream = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n\
                  event: phase\nid: a-1\ndata: {}\n\nevent: half";
    let (client, server) = answering(stream.to_owned()).await;
    let mut events = client.events(Some("a-0")).await.unwrap();
    let event = events.next().await.unwrap().unwrap();
    assert_eq!((event.name.as_str(), event.id.as_str(), event.data.as_str()), ("phase", "a-1", "{}"));
    assert!(events.next().await.unwrap().is_none());
    assert!(server.await.unwrap().contains("\r\nlast-event-id: a-0\r\n"));
}

#[tokio::test]
async fn an_answer_is_read_and_kept_as_it_came() {
    let (client, server) = answering(http("200 OK", "application/json", STATUS)).await;
    let request = SleepRequest { reason: Some("night".into()), wake_on_request: false };
    let answer = client.sleep(&AppId::local("web"), &request).await.unwrap();
    assert_eq!(answer.value.listen, ["127.0.0.1:8081"]);
    assert_eq!(answer.json["later"], 1, "fields of later versions are passed on");
    let first_keys: Vec<_> = answer.json.as_object().unwrap().keys().take(3).collect();
    assert_eq!(first_keys, ["namespace", "name", "phase"], "in the server's order");

    let asked = server.await.unwrap();
    assert!(asked.starts_with("POST /api/v1/apps/local/web/sleep HTTP/1.1\r\nhost: 127.0.0.1:"), "{asked}");
    assert!(asked.ends_with(r#"{"reason":"night","wake_on_request":false}"#), "{asked}");
}

#[tokio::test]
async fn a_refusal_says_what_the_server_said() {
    let body = r#"{"type":"https://reveille.dev/errors/in-use","title":"The app is in use","status":409,
        "detail":"local/web is in use","instance":"x"}"#;
    let (client, _server) = answering(http("409 Conflict", "application/problem+json", body)).await;
    let error = client.wake(&AppId::local("web"), &WakeRequest::default()).await.unwrap_err();
    let ClientError::Refused(problem) = &error else { panic!("{error}") };
    assert_eq!((problem.status, problem.detail.as_str()), (409, "local/web is in use"));
    assert_eq!(CliError::from(error).exit(), Exit::Failed);
}

#[tokio::test]
async fn what_is_no_reveille_is_called_so() {
    for (answer, says) in [
        (http("404 Not Found", "text/html", "<html>"), "404 Not Found"),
        (http("200 OK", "text/html", "<html>"), "without JSON"),
        (http("200 OK", "application/json", "{}"), "cannot be read"),
        ("SSH-2.0-OpenSSH_9.9\r\n\r\n".to_owned(), "does not speak HTTP"),
    ] {
        let (client, _server) = answering(answer).await;
        let error = client.list().await.unwrap_err();
        assert!(
            matches!(&error, ClientError::NotReveille { reason, .. } if reason.contains(says)),
            "{error}"
        );
        assert_eq!(CliError::from(error).exit(), Exit::Unreachable);
    }
}

#[tokio::test]
async fn nobody_there() {
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let client = Client::new(format!("http://{free}").parse().unwrap());
    let error = client.list().await.unwrap_err();
    assert_eq!(error.to_string(), format!("cannot reach Reveille at http://{free}: connection refused"));
    assert_eq!(CliError::from(error).exit(), Exit::Unreachable);

    let (client, _server) = answering(String::new()).await;
    let error = client.list().await.unwrap_err();
    assert!(error.to_string().ends_with("closed before an answer came"), "{error}");

    let cut = "HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{".to_owned();
    let (client, _server) = answering(cut).await;
    let error = client.list().await.unwrap_err();
    assert!(error.to_string().contains("the answer broke off"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_says_nothing_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = Client::new(format!("http://{}", listener.local_addr().unwrap()).parse().unwrap());
    let error = client.list().await.unwrap_err().to_string();
    assert!(error.ends_with(" s") && error.contains("within"), "{error}");
}

#[test]
fn what_may_be_another_thing_in_a_moment_is_told_from_what_stays() {
    let refused = |status| {
        let (kind, title, detail) = (String::new(), String::new(), String::new());
        ClientError::Refused(ProblemBody { kind, title, status, detail })
    };
    for (status, passes) in [(401, false), (404, false), (409, false), (429, true), (500, true), (503, true)]
    {
        assert_eq!(refused(status).may_pass(), passes, "{status}");
    }
    let server: ServerUrl = "http://127.0.0.1:1".parse().unwrap();
    assert!(ClientError::Unreachable { server: server.clone(), reason: String::new() }.may_pass());
    assert!(!ClientError::NotReveille { server, reason: String::new() }.may_pass());
}
