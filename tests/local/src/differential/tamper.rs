//! A proxy that replaces some bytes of what it passes on: proof that the comparison would notice.

use std::{
    io::{Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    thread,
};

use crate::ports;

/// What is replaced by what, wherever it occurs.
#[derive(Clone, Debug)]
pub struct Tamper {
    /// In what goes to the app, instead of what goes to the client.
    pub requests: bool,
    /// What is looked for.
    pub find: &'static [u8],
    /// What takes its place.
    pub replace: &'static [u8],
}

/// Starts the proxy in front of a port; its own one.
///
/// # Panics
/// If it cannot listen.
pub fn start(upstream: u16, tamper: Tamper) -> u16 {
    let port = ports::free();
    let listener = TcpListener::bind(("127.0.0.1", port)).expect("the port was free");
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let Ok(app) = TcpStream::connect(("127.0.0.1", upstream)) else { continue };
            let (Ok(client2), Ok(app2)) = (client.try_clone(), app.try_clone()) else { continue };
            let (to_app, to_client) =
                if tamper.requests { (Some(tamper.clone()), None) } else { (None, Some(tamper.clone())) };
            thread::spawn(move || pass(client, app, to_app.as_ref()));
            thread::spawn(move || pass(app2, client2, to_client.as_ref()));
        }
    });
    port
}

fn pass(mut from: TcpStream, mut to: TcpStream, tamper: Option<&Tamper>) {
    let mut held = Vec::new();
    let mut piece = [0; 16_384];
    while let Ok(count @ 1..) = from.read(&mut piece) {
        held.extend_from_slice(&piece[..count]);
        let kept = tamper.map_or(0, |tamper| replace(&mut held, tamper));
        let ready = held.len() - kept;
        if to.write_all(&held[..ready]).is_err() {
            break;
        }
        held.drain(..ready);
    }
    let _ = to.write_all(&held);
    let _ = to.shutdown(Shutdown::Write);
}

/// Replaces what is whole; how many bytes at the end may be the beginning of another occurrence.
fn replace(held: &mut Vec<u8>, tamper: &Tamper) -> usize {
    let mut from = 0;
    while let Some(at) = held[from..].windows(tamper.find.len()).position(|window| window == tamper.find) {
        held.splice(from + at..from + at + tamper.find.len(), tamper.replace.iter().copied());
        from += at + tamper.replace.len();
    }
    let longest = (tamper.find.len() - 1).min(held.len() - from);
    (0..=longest).rev().find(|&count| held.ends_with(&tamper.find[..count])).unwrap_or(0)
}
