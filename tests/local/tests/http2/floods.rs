//! Clients that ask for work and give none: each is closed with the right code, counted, and disturbs nobody.

use reveille_tests_local::{
    App, Reveille,
    h2::Client,
    h2raw::{self, Ended, H2, PREFACE, kind},
    until,
    wait::secs,
};

use crate::support::{SOON, start_awake};

const ENHANCE_YOUR_CALM: u32 = 11;

/// Sends until the connection is closed, which it must be; with this code, if that still came through.
#[track_caller]
fn closed_by(reveille: &Reveille, app: &App, reason: &str, flood: impl Fn(&mut H2) -> std::io::Result<()>) {
    let bystander = Client::open(app.listen);
    let count =
        |reason| reveille.admin.metric("reveille_http2_connection_errors_total", &[("reason", reason)]);
    let counted =
        || if reason == "flood-reset" { count(reason) + count("enhance-your-calm") } else { count(reason) };
    let mut raw = H2::open(app.listen);
    for _ in 0..40_000 {
        if flood(&mut raw).is_err() {
            break;
        }
    }
    let (ended, code) = raw.ends_within(SOON);
    assert!(ended, "{reason}: still open");
    assert!(code.is_none_or(|code| code == ENHANCE_YOUR_CALM), "{reason}: {code:?}");
    until("it is counted", SOON, || counted() == 1.0);
    assert_eq!(bystander.get("/").status(), 200, "{reason}: others are unharmed");
}

#[test]
fn floods_of_frames_end_their_connection() {
    let app = App::slow("flooded");
    let reveille = start_awake(&app);
    closed_by(&reveille, &app, "flood-ping", |raw| raw.try_send_frame(kind::PING, 0, 0, &[0; 8]));
    closed_by(&reveille, &app, "flood-settings", |raw| raw.try_send_frame(kind::SETTINGS, 0, 0, &[]));
    closed_by(&reveille, &app, "flood-ack", |raw| raw.try_send_frame(kind::PING, 1, 0, &[0; 8]));
    closed_by(&reveille, &app, "flood-window", |raw| {
        raw.try_send_frame(kind::WINDOW_UPDATE, 0, 0, &1_u32.to_be_bytes())
    });
    closed_by(&reveille, &app, "flood-ignored", |raw| {
        raw.try_send_frame(kind::PRIORITY, 0, 1, &[0, 0, 0, 0, 1])
    });
    let head = h2raw::fields(&[
        (":method", "GET"),
        (":scheme", "http"),
        (":path", "/slow?ms=60000"),
        (":authority", "a"),
    ]);
    // Reset before or after they are looked at: h2 counts the ones, Reveille the others.
    closed_by(&reveille, &app, "flood-reset", |raw| {
        let stream = raw.take_stream();
        raw.try_send_frame(kind::HEADERS, 5, stream, &head)?;
        raw.try_send_frame(kind::RST_STREAM, 0, stream, &8_u32.to_be_bytes())
    });
    until("nothing is in flight", SOON, || reveille.admin.in_flight("flooded") == 0);
    reveille.stop();
}

#[test]
fn floods_within_a_stream_end_their_connection() {
    let app = App::slow("streams");
    let reveille = start_awake(&app);
    closed_by(&reveille, &app, "enhance-your-calm", |raw| {
        // The first opens the stream; empty pieces of its body follow.
        if raw.take_stream() == 1 {
            let head = h2raw::fields(&[
                (":method", "POST"),
                (":scheme", "http"),
                (":path", "/sink"),
                (":authority", "a"),
            ]);
            raw.try_send_frame(kind::HEADERS, 4, 1, &head)
        } else {
            raw.try_send_frame(kind::DATA, 0, 1, &[])
        }
    });
    let bystander = Client::open(app.listen);
    let mut raw = H2::open(app.listen);
    raw.send_frame(kind::HEADERS, 0, 1, &h2raw::fields(&[(":method", "GET")]));
    for _ in 0..1_000 {
        if raw.try_send_frame(kind::CONTINUATION, 0, 1, &h2raw::fields(&[("x", "y")])).is_err() {
            break;
        }
    }
    let (ended, code) = raw.ends_within(SOON);
    assert!(ended && code.is_none_or(|code| code == ENHANCE_YOUR_CALM), "{code:?}");
    assert_eq!(bystander.get("/").status(), 200);

    let mut raw = H2::open(app.listen);
    let long = "v".repeat(15_000);
    let list: Vec<(String, &str)> = (0..1).map(|n| (format!("x-{n}"), long.as_str())).collect();
    let stream = raw.take_stream();
    let mut block =
        h2raw::fields(&[(":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", "a")]);
    block.extend(h2raw::fields(&list));
    raw.send_frame(kind::HEADERS, 1, stream, &block);
    for n in 0..5 {
        raw.continuation(stream, &h2raw::fields(&[(format!("y-{n}"), long.as_str())]), n == 4);
    }
    let answer = raw.answer(stream);
    assert!(answer.status == Some(431) || matches!(answer.ended, Ended::Reset(_)), "{answer:?}");
    reveille.stop();
}

#[test]
fn streams_beyond_the_limit_are_refused_one_by_one() {
    let app = App::slow("many").env("SLOW_START_MS", "60000");
    let reveille = Reveille::start(&reveille_tests_local::app::file(&[&app]));
    let mut raw = H2::open(app.listen);
    let streams: Vec<_> = (0..130).map(|_| raw.get("/")).collect();
    reveille.admin.await_held("many", 128, SOON);
    for stream in &streams[128..] {
        assert_eq!(raw.answer(*stream).ended, Ended::Reset(7), "REFUSED_STREAM");
    }
    drop(raw);
    until("nothing is held", SOON, || reveille.admin.held("many") == 0);
    reveille.stop();
}

#[test]
fn what_does_not_become_a_request_is_closed_in_time() {
    let app = App::slow("cut");
    let reveille = start_awake(&app);
    let mut cut: Vec<_> = [&PREFACE[..1], &PREFACE[..10], &PREFACE[..23], PREFACE]
        .into_iter()
        .map(|bytes| {
            let mut raw = H2::bare(app.listen);
            raw.send(bytes);
            raw
        })
        .collect();
    let mut half = H2::open(app.listen);
    half.send_frame(kind::HEADERS, 0, 1, &h2raw::fields(&[(":method", "GET")]));
    let mut piece = H2::open(app.listen);
    piece.send(&[0, 0, 100, 1]);
    let mut garbage = H2::open(app.listen);
    garbage.send_frame(kind::HEADERS, 5, 1, &[0xff; 100]);
    let (ended, code) = garbage.ends_within(SOON);
    assert!(ended && matches!(code, Some(1 | 9)), "COMPRESSION_ERROR, or PROTOCOL_ERROR: {code:?}");
    assert_eq!(Client::open(app.listen).get("/").status(), 200);
    for raw in cut.iter_mut().chain([&mut half, &mut piece]) {
        assert!(raw.ends_within(secs(14)).0, "open after 14 s");
    }
    reveille.stop();
}
