//! The request for what a pod counts: HTTP/1.1, one connection each.

use std::{net::SocketAddr, pin::pin, time::Duration};

use http::{Request, StatusCode, header};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::{body::Bytes, client::conn::http1};
use hyper_util::rt::TokioIo;
use reveille_core::resource::Scrape;
use tokio::net::TcpStream;

use super::{Sample, Scraper};
use crate::cluster::traits::BoxFuture;

/// How long a scrape may take.
const TIMEOUT: Duration = Duration::from_secs(2);
/// The longest answer, in bytes.
const MAX_ANSWER: usize = 1024 * 1024;

/// The [`Scraper`] of a cluster.
#[derive(Clone, Copy, Debug, Default)]
pub struct HttpScraper;

impl Scraper for HttpScraper {
    fn scrape<'a>(&'a self, at: SocketAddr, what: &'a Scrape) -> BoxFuture<'a, Result<Sample, String>> {
        Box::pin(async move {
            let late = |_| format!("no answer within {} s", TIMEOUT.as_secs());
            let text = tokio::time::timeout(TIMEOUT, fetch(at, &what.path)).await.map_err(late)??;
            super::read(&what.format, &text)
        })
    }
}

async fn fetch(at: SocketAddr, path: &str) -> Result<String, String> {
    let stream = TcpStream::connect(at).await.map_err(|error| error.to_string())?;
    let (mut sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(|error| error.to_string())?;
    let request = Request::builder()
        .uri(path)
        .header(header::HOST, at.to_string())
        .header(header::USER_AGENT, "reveille-controller")
        .header(header::ACCEPT, "text/plain")
        .header(header::CONNECTION, "close")
        .body(Empty::<Bytes>::new())
        .map_err(|error| format!("{path:?} cannot be asked for: {error}"))?;
    let mut exchange = pin!(async {
        let answer = sender.send_request(request).await.map_err(|error| error.to_string())?;
        if answer.status() != StatusCode::OK {
            return Err(format!("it answers {}", answer.status()));
        }
        let body = Limited::new(answer.into_body(), MAX_ANSWER).collect().await;
        let body = body.map_err(|error| format!("its answer broke off, or is too long: {error}"))?.to_bytes();
        Ok(String::from_utf8_lossy(&body).into_owned())
    });
    tokio::select! {
        text = &mut exchange => text,
        // Whatever has arrived until then is read to its end.
        _ = connection => exchange.await,
    }
}

#[cfg(test)]
mod tests {
    use reveille_core::{policy::PortRef, resource::ScrapeFormat};
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpListener,
    };

    use super::*;

    async fn scraped(answer: String) -> Result<Sample, String> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        let serve = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = vec![0; 4096];
            let read = stream.read(&mut head).await.unwrap();
            // A client that has enough closes first.
            let _ = stream.write_all(answer.as_bytes()).await;
            String::from_utf8_lossy(&head[..read]).into_owned()
        });
        let metrics = ["calls_total".to_owned()].into();
        let what = Scrape {
            port: PortRef::Number(1),
            path: "/metrics?a=b".into(),
            format: ScrapeFormat::Prometheus { metrics },
        };
        let sample = HttpScraper.scrape(at, &what).await;
        let head = serve.await.unwrap();
        assert!(head.starts_with("GET /metrics?a=b HTTP/1.1\r\n"), "{head}");
        sample
    }

    #[tokio::test]
    async fn an_answer_is_read_whatever_its_length_is_told_by() {
        for answer in [
            "HTTP/1.1 200 OK\r\ncontent-length: 14\r\n\r\ncalls_total 3\n",
            "HTTP/1.1 200 OK\r\n\r\ncalls_total 3\n",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\ne\r\ncalls_total 3\n\r\n0\r\n\r\n",
        ] {
            let sample = scraped(answer.to_owned()).await.unwrap();
            assert_eq!(sample.counters, [("calls_total".to_owned(), "3".to_owned())]);
        }
    }

    #[tokio::test]
    async fn what_is_no_answer_is_none() {
        assert!(
            scraped("HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n".into())
                .await
                .unwrap_err()
                .contains("404")
        );
        assert!(
            scraped("HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\ncalls_total 3\n".into()).await.is_err()
        );
        let long = "# \n".repeat(MAX_ANSWER / 2);
        let long = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{long}", long.len());
        assert!(scraped(long).await.unwrap_err().contains("too long"));
    }
}
