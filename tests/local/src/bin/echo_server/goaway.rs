//! An HTTP/2 server that stops in the middle: of each connection it answers the first N requests with `ok`, and at the
//! next one says by GOAWAY that N was the last. It forgets all later ones, as that lets it, and closes when the client
//! does. No library lets a server disown requests that it has seen, so this one writes frames by hand.
//!
//! `ECHO_GOAWAY_AFTER` is N, `ECHO_GOAWAY_CODE` the code (0). The log gets `request stream=ID` for each one answered,
//! and `disowned stream=ID` for each one after them.

use std::{io, net::TcpStream};

use reveille_tests_local::{
    h2raw::{END_HEADERS, END_STREAM, H2, kind},
    server::{Log, number},
};

pub(crate) fn serve(count: u64, stream: TcpStream, log: &Log) -> io::Result<()> {
    let code = number("ECHO_GOAWAY_CODE").and_then(|code| u32::try_from(code).ok()).unwrap_or(0);
    let mut peer = H2::accept(stream)?;
    let (mut begun, mut last) = (0, 0);
    while let Some(frame) = peer.try_next()? {
        let is_new = frame.kind == kind::HEADERS && frame.stream > last;
        if is_new && begun == count {
            log.write("disowned", &format!("stream={}", frame.stream));
            peer.try_send_frame(kind::GOAWAY, 0, 0, &[last.to_be_bytes(), code.to_be_bytes()].concat())?;
            continue;
        }
        if is_new {
            begun += 1;
            last = frame.stream;
        }
        if frame.stream == 0 || frame.stream > last || frame.flags & END_STREAM == 0 {
            continue;
        }
        log.write("request", &format!("stream={}", frame.stream));
        peer.try_send_frame(kind::HEADERS, END_HEADERS, frame.stream, &[0x88])?; // `:status: 200` of the static table
        peer.try_send_frame(kind::DATA, END_STREAM, frame.stream, b"ok")?;
    }
    Ok(())
}
