//! What each path answers.

use std::{future::poll_fn, time::Duration};

use bytes::Bytes;
use h2::{Error, Reason, RecvStream, SendStream, server::SendResponse};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use reveille_tests_local::server::{Seen, now_micros};
use serde_json::{Value, json};
use tokio::{sync::mpsc::UnboundedSender, time::sleep};

use super::Order;

type Respond = SendResponse<Bytes>;

/// A number from the query.
fn query<T: std::str::FromStr>(request: &Request<RecvStream>, name: &str) -> Option<T> {
    let query = request.uri().query()?;
    query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('=')?.parse().ok())
}

/// Answers one request; an error is that the client left first.
pub(super) async fn answer(
    mut request: Request<RecvStream>,
    mut respond: Respond,
    order: &UnboundedSender<Order>,
) -> Result<(), Error> {
    let wait = Duration::from_millis(query(&request, "ms").unwrap_or(0));
    let reason = Reason::from(query::<u32>(&request, "code").unwrap_or(0));
    let path = request.uri().path().to_owned();
    match path.as_str() {
        "/early" => {
            pause(wait, &mut respond).await?;
            return send(&mut respond, StatusCode::PAYLOAD_TOO_LARGE, b"too large");
        }
        "/unread" => return sized(&request, &mut respond, wait).await,
        "/rst" => return reset(&request, &mut respond, reason).await,
        "/abort" => {
            let _ = order.send(Order::Abort(reason));
            return Ok(());
        }
        "/goaway" => {
            let _ = order.send(Order::Leave);
            pause(wait, &mut respond).await?;
            return send(&mut respond, StatusCode::OK, b"goodbye");
        }
        "/lazy" => pause(wait, &mut respond).await?,
        _ => {}
    }
    let (seen, trailers) = read(request.body_mut()).await?;
    match path.as_str() {
        "/echo" => send_json(&mut respond, &echo(&request, &seen, trailers.as_ref())),
        "/sink" | "/lazy" => send_json(&mut respond, &seen.json()),
        "/slow" => {
            pause(wait, &mut respond).await?;
            send(&mut respond, StatusCode::OK, b"slow")
        }
        "/big" | "/drip" => sized(&request, &mut respond, wait).await,
        "/sse" => events(&request, &mut respond, wait).await,
        "/chunked" => {
            let mut body = respond.send_response(Response::new(()), false)?;
            write(&mut body, Bytes::from_static(b"one two three")).await?;
            let trailers = [("x-sum", "13"), ("x-end", "yes")];
            let trailers = trailers.map(|(name, value)| (name.parse(), HeaderValue::from_static(value)));
            let valid = trailers.into_iter().filter_map(|(name, value)| Some((name.ok()?, value)));
            body.send_trailers(valid.collect())
        }
        "/hints" => {
            let code = query(&request, "code").unwrap_or(103_u16);
            let hint = Response::builder().status(code).header(header::LINK, "</style.css>; rel=preload");
            let hint = hint.body(()).expect("the status and the field are valid");
            for _ in 0..query(&request, "count").unwrap_or(1) {
                respond.send_informational(hint.clone())?;
            }
            send(&mut respond, StatusCode::OK, b"hints")
        }
        "/status" => {
            let code = query(&request, "code").and_then(|code: u16| StatusCode::from_u16(code).ok());
            send(&mut respond, code.unwrap_or(StatusCode::NO_CONTENT), b"")
        }
        _ => send(&mut respond, StatusCode::OK, b"ok"),
    }
}

/// Waits, unless the client leaves.
async fn pause(time: Duration, respond: &mut Respond) -> Result<(), Error> {
    tokio::select! {
        () = sleep(time) => Ok(()),
        reason = poll_fn(|cx| respond.poll_reset(cx)) => Err(reason?.into()),
    }
}

async fn read(body: &mut RecvStream) -> Result<(Seen, Option<HeaderMap>), Error> {
    let mut seen = Seen::default();
    while let Some(piece) = body.data().await {
        let piece = piece?;
        seen.add(&piece);
        body.flow_control().release_capacity(piece.len())?;
    }
    Ok((seen, body.trailers().await?))
}

/// Sends all of it at the pace at which the client takes it.
async fn write(body: &mut SendStream<Bytes>, mut data: Bytes) -> Result<(), Error> {
    while !data.is_empty() {
        body.reserve_capacity(data.len());
        let room = poll_fn(|cx| body.poll_capacity(cx)).await.ok_or(Reason::CANCEL)??;
        body.send_data(data.split_to(room.min(data.len())), false)?;
    }
    Ok(())
}

fn send(respond: &mut Respond, status: StatusCode, body: &'static [u8]) -> Result<(), Error> {
    let mut response = Response::new(());
    *response.status_mut() = status;
    if !body.is_empty() {
        response.headers_mut().insert(header::CONTENT_LENGTH, body.len().into());
    }
    let mut stream = respond.send_response(response, body.is_empty())?;
    if body.is_empty() { Ok(()) } else { stream.send_data(Bytes::from_static(body), true) }
}

fn send_json(respond: &mut Respond, value: &Value) -> Result<(), Error> {
    let mut response = Response::new(());
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    respond.send_response(response, false)?.send_data(value.to_string().into(), true)
}

fn echo(request: &Request<RecvStream>, seen: &Seen, trailers: Option<&HeaderMap>) -> Value {
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let list = |fields: &HeaderMap| -> Value {
        fields.iter().map(|(name, value)| json!([name.as_str(), text(value)])).collect()
    };
    json!({
        "method": request.method().as_str(),
        "target": request.uri().path_and_query().map(|path| path.as_str()),
        "authority": request.uri().authority().map(|authority| authority.as_str()),
        "scheme": request.uri().scheme_str(),
        "version": "HTTP/2",
        "fields": list(request.headers()),
        "body": String::from_utf8_lossy(&seen.start),
        "length": seen.length,
        "trailers": trailers.map_or(json!([]), list),
        "pid": std::process::id(),
    })
}

async fn reset(request: &Request<RecvStream>, respond: &mut Respond, reason: Reason) -> Result<(), Error> {
    let Some(bytes) = query::<usize>(request, "bytes") else {
        respond.send_reset(reason);
        return Ok(());
    };
    let mut body = respond.send_response(Response::new(()), false)?;
    write(&mut body, vec![b'r'; bytes].into()).await?;
    // What a reset finds unsent is dropped; the client is to see the bytes.
    sleep(Duration::from_millis(100)).await;
    body.send_reset(reason);
    Ok(())
}

async fn sized(request: &Request<RecvStream>, respond: &mut Respond, wait: Duration) -> Result<(), Error> {
    let mut left: usize = query(request, "bytes").unwrap_or(0);
    let step = if matches!(request.uri().path(), "/drip" | "/unread") { 1 } else { 64 * 1024 };
    let response = Response::builder().header(header::CONTENT_LENGTH, left).body(());
    let mut body = respond.send_response(response.expect("a number is a valid field"), false)?;
    let piece = Bytes::from(vec![b'x'; step]);
    while left > 0 {
        if !wait.is_zero() {
            sleep(wait).await;
        }
        let count = left.min(step);
        write(&mut body, piece.slice(..count)).await?;
        left -= count;
    }
    body.send_data(Bytes::new(), true)
}

async fn events(request: &Request<RecvStream>, respond: &mut Respond, wait: Duration) -> Result<(), Error> {
    let response = Response::builder().header(header::CONTENT_TYPE, "text/event-stream").body(());
    let mut body = respond.send_response(response.expect("the field is valid"), false)?;
    for number in 0..query(request, "events").unwrap_or(0_u64) {
        sleep(wait).await;
        write(&mut body, format!("data: {number} {}\n\n", now_micros()).into()).await?;
    }
    body.send_data(Bytes::new(), true)
}
