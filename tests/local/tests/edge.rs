//! The edge of falling asleep: bursts with gaps around the TTL, against a real nginx.

use std::{
    io,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant},
};

use reveille_tests_local::{App, Conn, Reveille, app::file, pause, report::figure, wait::ms};

const CYCLES: f64 = 200.0;
const LIMIT: Duration = Duration::from_secs(150);

/// A small generator of numbers, good enough for gaps.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

fn ask(conn: &mut Conn, post: bool) -> io::Result<()> {
    let request = if post {
        "POST / HTTP/1.1\r\nHost: edge.localhost\r\nContent-Length: 4\r\n\r\nbody"
    } else {
        "GET / HTTP/1.1\r\nHost: edge.localhost\r\n\r\n"
    };
    conn.try_send(request)?;
    let answer = conn.try_answer("GET")?;
    if answer.status() == 200 && answer.body == b"hello from nginx\n" {
        Ok(())
    } else {
        Err(io::Error::other(format!("{:?} {}", answer.head, answer.text())))
    }
}

/// Bursts of 1-6 requests, some over kept connections, with gaps around the TTL, until told to stop.
fn bursts(port: u16, seed: u64, stop: &AtomicBool, served: &AtomicUsize) -> Vec<String> {
    let mut random = Random(seed);
    let mut kept: Vec<Conn> = (0..3).map(|_| Conn::open(port)).collect();
    let mut failed = Vec::new();
    while !stop.load(Ordering::Relaxed) && failed.len() < 5 {
        let fresh: Vec<Conn> = (0..random.below(4)).map(|_| Conn::open(port)).collect();
        let burst = kept.drain(..).chain(fresh).map(|mut conn| {
            let post = random.below(2) == 0;
            thread::spawn(move || ask(&mut conn, post).map(|()| conn))
        });
        let burst: Vec<_> = burst.collect();
        for request in burst {
            match request.join().expect("a client does not panic") {
                Ok(conn) => {
                    served.fetch_add(1, Ordering::Relaxed);
                    if kept.len() < 3 {
                        kept.push(conn);
                    }
                }
                Err(error) => failed.push(error.to_string()),
            }
        }
        while kept.len() < 3 {
            kept.push(Conn::open(port));
        }
        // Dense around the instant at which the app falls asleep, with some stragglers.
        pause(if random.below(4) == 0 { ms(random.below(250)) } else { ms(85 + random.below(45)) });
    }
    failed
}

#[test]
fn no_request_fails_in_two_hundred_cycles_of_sleeping_and_waking() {
    let apps: Vec<App> =
        (0..4).map(|number| App::nginx(&format!("edge{number}")).set("idle: {ttl: 100ms}")).collect();
    let reveille = Reveille::start(&file(&apps.iter().collect::<Vec<_>>()));
    let (stop, served) = (AtomicBool::new(false), AtomicUsize::new(0));
    let started = Instant::now();
    let cycles = || reveille.admin.metric("reveille_wakes_total", &[("outcome", "ready")]);
    let failed: Vec<String> = thread::scope(|scope| {
        let clients: Vec<_> = apps
            .iter()
            .zip(1..)
            .map(|(app, number)| {
                let (stop, served) = (&stop, &served);
                let seed = 0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(number);
                scope.spawn(move || bursts(app.listen, seed, stop, served))
            })
            .collect();
        while cycles() <= CYCLES && started.elapsed() < LIMIT && !clients.iter().any(|c| c.is_finished()) {
            pause(ms(100));
        }
        stop.store(true, Ordering::Relaxed);
        clients.into_iter().flat_map(|client| client.join().expect("a client does not panic")).collect()
    });
    let (mut slept, mut aborted) = (0.0, 0.0);
    for app in &apps {
        for (outcome, count) in reveille.admin.by_label("reveille_sleeps_total", &app.name, "outcome") {
            *(if outcome.contains("abort") { &mut aborted } else { &mut slept }) += count;
        }
    }
    figure(
        "edge",
        &format!(
            "{} requests, {} wakes, {slept} sleeps, {aborted} aborted sleeps, {} failed, in {:?}",
            served.load(Ordering::Relaxed),
            cycles(),
            failed.len(),
            started.elapsed()
        ),
    );
    assert!(failed.is_empty(), "failed requests: {failed:#?}");
    assert!(cycles() > CYCLES, "only {} cycles within {LIMIT:?}", cycles());
    reveille.stop();
}
