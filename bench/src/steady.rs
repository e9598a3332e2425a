//! A load of so many requests a second, each sent at its time whether or not earlier ones are answered. A latency
//! counts from the time at which the request was due: one that had to wait for a slow one before it tells so.

use std::{
    io::{self, Read, Write},
    net::TcpStream,
    thread,
    time::{Duration, Instant},
};

use nix::sys::prctl;

use crate::{
    clock, cpu,
    error::{Error, Result},
    tools::Load,
};

/// Connections that take turns. Each is used again after as many milliseconds at 1,000 requests a second.
const CONNECTIONS: u32 = 16;
/// Requests before the measurement, on each connection.
const WARM_UP: u32 = 20;
const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: bench.localhost\r\n\r\n";

pub(crate) struct Steady {
    pub(crate) load: Load,
    pub(crate) p50: Duration,
    pub(crate) p99: Duration,
}

pub(crate) fn run(port: u16, rate: u32, seconds: u64) -> Result<Steady> {
    let between = Duration::from_secs(1) / rate;
    let each = u32::try_from(seconds).unwrap_or(u32::MAX).saturating_mul(rate) / CONNECTIONS;
    let begin = Instant::now() + Duration::from_millis(200);
    let threads: Vec<_> = (0..CONNECTIONS)
        .map(|nth| {
            thread::spawn(move || connection(port, begin + between * nth, between * CONNECTIONS, each))
        })
        .collect();
    let mut latencies = Vec::new();
    for thread in threads {
        let measured = thread.join().map_err(|_| Error::new("a connection's thread panicked"))?;
        latencies.extend(measured.map_err(Error::of("a connection broke"))?);
    }
    let took = begin.elapsed();
    latencies.sort_unstable();
    let at = |share: f64| latencies[((latencies.len() - 1) as f64 * share) as usize];
    let (p50, p99) = (at(0.5), at(0.99));
    let (requests, warm_up) = (latencies.len() as u64, (WARM_UP * CONNECTIONS).into());
    Ok(Steady { load: Load { requests, warm_up, took }, p50, p99 })
}

fn connection(port: u16, first: Instant, between: Duration, count: u32) -> io::Result<Vec<Duration>> {
    cpu::stay_on_load_core()?;
    // By default the kernel may wake a thread 50 us late, which would count as latency.
    prctl::set_timerslack(1)?;
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    for _ in 0..WARM_UP {
        exchange(&mut stream)?;
    }
    let mut latencies = Vec::with_capacity(count as usize);
    for nth in 0..count {
        let due = first + between * nth;
        clock::until(due);
        exchange(&mut stream)?;
        latencies.push(due.elapsed());
    }
    Ok(latencies)
}

/// One request and its answer, whose body has a known length.
fn exchange(stream: &mut TcpStream) -> io::Result<()> {
    stream.write_all(REQUEST)?;
    let mut answer = [0; 4096];
    let mut have = 0;
    loop {
        let read = stream.read(&mut answer[have..])?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        have += read;
        if let Some(length) = length(&answer[..have])
            && have >= length
        {
            return Ok(());
        }
    }
}

/// The length of the whole answer, once its head is there.
fn length(answer: &[u8]) -> Option<usize> {
    let text = std::str::from_utf8(answer).ok()?;
    let head = text.find("\r\n\r\n")?;
    let mut fields = text[..head].split("\r\n").filter_map(|line| line.split_once(':'));
    let (_, body) = fields.find(|(name, _)| name.eq_ignore_ascii_case("content-length"))?;
    Some(head + 4 + body.trim().parse::<usize>().ok()?)
}
