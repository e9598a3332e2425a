//! Ports of 127.0.0.1 for everybody who takes part.

use std::{
    io::{self, Read, Write},
    net::{TcpListener, TcpStream},
    sync::atomic::{AtomicU16, Ordering},
    time::{Duration, Instant},
};

use crate::{
    clock,
    error::{Error, Result},
};

/// How long a proxy may take to serve.
const ANSWERS_WITHIN: Duration = Duration::from_secs(20);

/// Ports that are free, for now. They lie below those that the kernel gives to outgoing connections: the load makes
/// many of these, and a server that could not have its port would be missed.
pub(crate) fn free<const N: usize>() -> Result<[u16; N]> {
    let mut ports = [0; N];
    for port in &mut ports {
        *port = next()?;
    }
    Ok(ports)
}

/// So many of them. They are gone for good: a run has about 22,000.
pub(crate) fn many(count: usize) -> Result<Vec<u16>> {
    (0..count).map(|_| next()).collect()
}

fn next() -> Result<u16> {
    static NEXT: AtomicU16 = AtomicU16::new(10_000);
    loop {
        let next = NEXT.fetch_add(1, Ordering::Relaxed);
        if next >= 32_000 {
            return Err(Error::new("no port between 10000 and 32000 is free"));
        }
        if TcpListener::bind(("127.0.0.1", next)).is_ok() {
            return Ok(next);
        }
    }
}

/// Waits until a request is answered there.
pub(crate) fn wait_for_answer(port: u16) -> Result<()> {
    let begun = Instant::now();
    while ask(port).is_err() {
        if begun.elapsed() > ANSWERS_WITHIN {
            return Err(Error::new(format!("nobody answers on {port}; see target/bench/run/*.log")));
        }
        clock::pause(Duration::from_millis(20));
    }
    Ok(())
}

fn ask(port: u16) -> io::Result<()> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(ANSWERS_WITHIN))?;
    stream.write_all(b"GET / HTTP/1.1\r\nHost: bench.localhost\r\nConnection: close\r\n\r\n")?;
    stream.read_exact(&mut [0])
}
