//! Ports that no other test of this run has.
//!
//! They lie below the range from which Linux takes the ports of outgoing connections, so that no client of
//! another test sits on one by chance, and below 20,000, from where Reveille chooses the ports of apps that
//! name none. Two runs at a time begin at different places.

use std::{
    net::TcpListener,
    sync::atomic::{AtomicU32, Ordering},
};

const FIRST: u32 = 10_000;
const COUNT: u32 = 10_000;

static NEXT: AtomicU32 = AtomicU32::new(0);

/// A port of 127.0.0.1 that nobody listens on and that this process has not handed out before.
///
/// # Panics
/// If there is none left.
pub fn free() -> u16 {
    let base = std::process::id().wrapping_mul(197) % COUNT;
    for _ in 0..COUNT {
        let offset = NEXT.fetch_add(1, Ordering::Relaxed);
        let port = FIRST + base.wrapping_add(offset) % COUNT;
        let port = u16::try_from(port).expect("FIRST + COUNT is below 65,536");
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
    panic!("no free port between {FIRST} and {}", FIRST + COUNT);
}
