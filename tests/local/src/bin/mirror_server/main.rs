//! A server that answers each request with exactly what it was told to answer, and notes exactly what came.
//!
//! It speaks HTTP/1.1 and, to whoever begins with its preface, HTTP/2, on one port. What to answer it learns on
//! a second port (`differential::control`). A thread per connection, so that one that pauses or breaks disturbs
//! no other.
//!
//! | variable | meaning |
//! |---|---|
//! | `MIRROR_PORT` | where it serves, on 127.0.0.1 |
//! | `MIRROR_CONTROL` | where it is controlled |

mod book;
mod h1;
mod h2;

use std::{
    env, io,
    net::{TcpListener, TcpStream},
    thread,
};

use book::Book;
use reveille_tests_local::product;

/// What a connection of HTTP/2 begins with (RFC 9113, 3.4); no other method has this name.
const PREFACE: &[u8] = b"PRI ";

fn main() -> io::Result<()> {
    product::allow_many_files();
    let book = Book::default();
    let control = listen("MIRROR_CONTROL")?;
    let of_control = book.clone();
    thread::spawn(move || {
        for stream in control.incoming().flatten() {
            let book = of_control.clone();
            thread::spawn(move || book.serve(stream));
        }
    });
    for stream in listen("MIRROR_PORT")?.incoming() {
        let (stream, book) = (stream?, book.clone());
        thread::spawn(move || serve(stream, &book));
    }
    Ok(())
}

fn listen(variable: &str) -> io::Result<TcpListener> {
    let port = env::var(variable).ok().and_then(|port| port.parse::<u16>().ok());
    let port = port.ok_or_else(|| io::Error::other(format!("{variable} must name a port")))?;
    TcpListener::bind(("127.0.0.1", port))
}

/// Errors end here: they are clients that left, or sent what is no HTTP, and the test sees that from its side.
fn serve(stream: TcpStream, book: &Book) {
    let _ = stream.set_nodelay(true);
    let mut start = [0; PREFACE.len()];
    // A probe connects and says nothing: this returns when it leaves.
    let is_h2 = loop {
        match stream.peek(&mut start) {
            Ok(count) if count > 0 && start[..count] != PREFACE[..count] => break false,
            Ok(count) if count == PREFACE.len() => break true,
            // The rest of the preface is on its way.
            Ok(count) if count > 0 => thread::yield_now(),
            Ok(_) | Err(_) => return,
        }
    };
    let _ = if is_h2 { h2::serve(stream, book) } else { h1::serve(stream, book) };
}
