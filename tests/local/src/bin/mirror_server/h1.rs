//! HTTP/1.1, read by the tests' own strict reader and written literally.

use std::{
    io::{self, Write},
    net::{Shutdown, TcpStream},
};

use reveille_tests_local::differential::{
    message::{Message, Start},
    script::{Field, Framing, Response},
    wire::{self, Reader},
};

use crate::book::Book;

pub(crate) fn serve(stream: TcpStream, book: &Book) -> io::Result<()> {
    let mut conn = Reader::new(stream);
    while let Some(mut request) = conn.request()? {
        let response = book.response(&request);
        let asks = wire::expects(&request) && request.framing != Framing::None;
        let refused = asks && response.refuses;
        if asks && !refused {
            conn.stream().write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        }
        if !refused {
            conn.body(&mut request)?;
        }
        // Before the answer: who has that may ask at once what was seen.
        book.note(request.clone());
        let closes = refused || !wire::persists(&request);
        if !answer(conn.stream(), &request, response, closes)? {
            return conn.stream().shutdown(Shutdown::Both);
        }
    }
    Ok(())
}

/// Writes the response. Whether the connection goes on after it.
fn answer(
    stream: &mut TcpStream,
    request: &Message,
    mut response: Response,
    mut closes: bool,
) -> io::Result<bool> {
    let Start::Request { method, .. } = &request.start else { return Ok(false) };
    if request.version == "HTTP/1.0" {
        // Which knows neither chunks nor interim answers.
        if response.body.framing == Framing::Chunked {
            response.body.framing = Framing::Close;
        }
        response.interim.clear();
    }
    let is_bodyless = method == "HEAD" || matches!(response.status, 204 | 304);
    closes |= response.body.framing == Framing::Close && !is_bodyless;
    for status in &response.interim {
        stream.write_all(&wire::head(&format!("HTTP/1.1 {status} Interim"), &[]))?;
    }
    let mut fields: Vec<Field> = response.fields;
    fields.extend(closes.then(|| ("Connection".into(), "close".into())));
    fields.extend(wire::framing_field(&response.body));
    let mut head = wire::head(&format!("HTTP/1.1 {} {}", response.status, response.reason), &fields);
    if is_bodyless {
        stream.write_all(&head)?;
    } else if response.body.pause > 0 {
        stream.write_all(&head)?;
        wire::write_body(stream, &response.body)?;
    } else {
        wire::write_body(&mut head, &response.body)?;
        stream.write_all(&head)?;
    }
    Ok(!closes)
}
