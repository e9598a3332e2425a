//! Bytes, in both directions.
//!
//! | variant | does |
//! |---|---|
//! | `echo` | sends back what it gets, as it gets it, until the client finishes |
//! | `banner` | speaks first (`220 ready`), then echoes |
//! | `count` | reads until the client finishes, and only then answers: length and hash as JSON |
//! | `slow` | the same, but reads 16 KiB every `ECHO_READ_MS` (10) with a small receive buffer |
//! | `farewell` | speaks first and finishes at once; goes on reading, and logs what it got |
//!
//! The log gets `end received=N` when the client finished, and `broken` when it vanished.

use std::{
    io::{self, Read, Write},
    net::{Shutdown, TcpStream},
    time::Duration,
};

use nix::sys::socket::{setsockopt, sockopt::RcvBuf};
use reveille_tests_local::{
    pause,
    server::{self, Log, Seen},
};

const BANNER: &[u8] = b"220 ready\r\n";

#[derive(Clone, Copy)]
pub(crate) enum Variant {
    Echo,
    Banner,
    Count,
    Slow,
    Farewell,
}

impl Variant {
    pub(crate) fn of(name: &str) -> io::Result<Self> {
        Ok(match name {
            "echo" => Self::Echo,
            "banner" => Self::Banner,
            "count" => Self::Count,
            "slow" => Self::Slow,
            "farewell" => Self::Farewell,
            _ => return Err(io::Error::other("a variant is echo, banner, count, slow or farewell")),
        })
    }
}

pub(crate) fn serve(variant: Variant, mut stream: TcpStream, log: &Log) -> io::Result<()> {
    if matches!(variant, Variant::Slow) {
        setsockopt(&stream, RcvBuf, &(16 * 1024))?;
    }
    if matches!(variant, Variant::Banner | Variant::Farewell) {
        stream.write_all(BANNER)?;
    }
    if matches!(variant, Variant::Farewell) {
        stream.shutdown(Shutdown::Write)?;
    }
    let wait = Duration::from_millis(server::number("ECHO_READ_MS").unwrap_or(10));
    let (mut seen, mut piece) = (Seen::default(), [0; 16 * 1024]);
    loop {
        let count = match stream.read(&mut piece) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        seen.add(&piece[..count]);
        match variant {
            Variant::Echo | Variant::Banner => stream.write_all(&piece[..count])?,
            Variant::Slow => pause(wait),
            Variant::Count | Variant::Farewell => {}
        }
    }
    log.write("end", &format!("received={}", seen.length));
    if matches!(variant, Variant::Count | Variant::Slow) {
        stream.write_all(seen.json().to_string().as_bytes())?;
    }
    Ok(())
}
