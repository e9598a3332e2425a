//! What a crowd of held requests leaves behind on the heap: nothing. Counted by the allocator, to the byte.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test fails by panicking, and says what it counted"
)]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    num::NonZeroUsize,
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use futures_util::future::BoxFuture;
use reveille_activator::{
    Activator,
    config::Config,
    traits::{Directory, Waker},
};
use reveille_core::{
    app::AppId,
    directory::{AppEntry, Change, Endpoint, Port, Protocol, UpstreamProtocol, WakeState},
    phase::Phase,
    policy::{Mode, PolicySpec},
};
use tokio::sync::mpsc;

/// Counts live bytes.
struct Counting;

static LIVE: AtomicI64 = AtomicI64::new(0);

// SAFETY: every call goes to the system's allocator as it came.
#[allow(unsafe_code, reason = "an allocator is unsafe by its trait")]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        LIVE.fetch_add(layout.size() as i64, Ordering::Relaxed);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size() as i64, Ordering::Relaxed);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const CROWD: usize = 1_000;

struct Played(mpsc::UnboundedReceiver<Change>);

impl Directory for Played {
    fn next(&mut self) -> BoxFuture<'_, Option<Change>> {
        Box::pin(self.0.recv())
    }
}

#[derive(Default)]
struct Wakes(AtomicUsize);

impl Waker for Wakes {
    fn wake(&self, _: &AppId, _: usize) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
    fn usable(&self, _: &AppId, _: u64) {}
}

/// Answers every request, each on a thread of its own.
fn app() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            std::thread::spawn(move || {
                let mut request = [0; 4096];
                while stream.read(&mut request).is_ok_and(|n| n > 0) {
                    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").unwrap();
                }
            });
        }
    });
    address
}

struct World {
    activator: Activator,
    changes: mpsc::UnboundedSender<Change>,
    wakes: Arc<Wakes>,
    entry: AppEntry,
    listen: SocketAddr,
    app: SocketAddr,
}

impl World {
    async fn new() -> Self {
        let listen = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let entry = AppEntry {
            id: AppId::local("web"),
            policy: Arc::new(PolicySpec::default().resolve(Mode::Local).unwrap()),
            ports: Arc::new([Port {
                name: None,
                listen,
                protocol: Protocol::Http,
                upstream: UpstreamProtocol::Auto,
            }]),
            hosts: Arc::new([]),
            phase: Phase::Asleep,
            endpoints: Vec::new(),
            wake: WakeState::None,
            wake_on_request: true,
        };
        let (changes, receiver) = mpsc::unbounded_channel();
        changes.send(Change::App(Arc::new(entry.clone()))).unwrap();
        let wakes = Arc::new(Wakes::default());
        let config = Config { workers: NonZeroUsize::new(2).unwrap(), ..Config::default() };
        let registry = prometheus::Registry::new();
        let activator =
            reveille_activator::build(config, Box::new(Played(receiver)), wakes.clone(), &registry);
        let activator = activator.await.unwrap();
        assert!(activator.bind_errors().is_empty());
        Self { activator, changes, wakes, entry, listen, app: app() }
    }

    fn publish(&self, phase: Phase, endpoints: Vec<Endpoint>) {
        let entry = AppEntry { phase, endpoints, ..self.entry.clone() };
        self.changes.send(Change::App(Arc::new(entry))).unwrap();
    }

    async fn until(&self, what: &str, is_so: impl Fn(u64, u64) -> bool) {
        let start = Instant::now();
        loop {
            let activity = self.activator.activity(&self.entry.id).unwrap();
            if is_so(activity.in_flight, activity.held) {
                return;
            }
            assert!(start.elapsed() < Duration::from_secs(30), "{what}: {activity:?}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// A crowd comes while the app sleeps, is served once it is awake, and goes.
    async fn crowd(&self, generation: u64) {
        let mut clients: Vec<TcpStream> = (0..CROWD)
            .map(|_| {
                let mut client = TcpStream::connect(self.listen).unwrap();
                client.write_all(b"GET / HTTP/1.1\r\nHost: web\r\n\r\n").unwrap();
                client
            })
            .collect();
        self.until("all are held", |_, held| held == CROWD as u64).await;
        let addresses = Arc::new([self.app]);
        self.publish(Phase::Awake, vec![Endpoint { generation, addresses, ready: true }]);
        self.until("all are answered", |in_flight, _| in_flight == 0).await;
        for client in &mut clients {
            let mut answer = [0; 12];
            client.read_exact(&mut answer).unwrap();
            assert_eq!(&answer, b"HTTP/1.1 200");
        }
        drop(clients);
        self.publish(Phase::Asleep, Vec::new());
    }

    /// The same over HTTP/2, on ten connections, each stream with an unfinished body; every second one gives up
    /// while it is held. Its body is never finished, so it is the answer that ends the others.
    async fn crowd_http2(&self, generation: u64) {
        let mut connections = Vec::new();
        let mut streams = Vec::new();
        for _ in 0..10 {
            let stream = tokio::net::TcpStream::connect(self.listen).await.unwrap();
            let (sender, connection) = h2::client::handshake(stream).await.unwrap();
            connections.push(tokio::spawn(connection));
            let mut sender = sender.ready().await.unwrap();
            for _ in 0..CROWD / 10 {
                let request = http::Request::post("http://web/").body(()).unwrap();
                sender = sender.ready().await.unwrap();
                let (response, mut body) = sender.send_request(request, false).unwrap();
                body.send_data("some of it".into(), false).unwrap();
                streams.push((response, body));
            }
        }
        self.until("all are held", |_, held| held == CROWD as u64).await;
        let mut left = streams.into_iter().enumerate();
        let kept: Vec<_> = left.by_ref().filter(|(n, _)| n % 2 == 0).map(|(_, stream)| stream).collect();
        self.until("half have given up", |_, held| held == CROWD as u64 / 2).await;
        let addresses = Arc::new([self.app]);
        self.publish(Phase::Awake, vec![Endpoint { generation, addresses, ready: true }]);
        for (response, body) in kept {
            assert_eq!(response.await.unwrap().status(), 200);
            drop(body);
        }
        self.until("all are answered", |in_flight, _| in_flight == 0).await;
        for connection in connections {
            connection.await.unwrap().unwrap();
        }
        self.publish(Phase::Asleep, Vec::new());
    }
}

/// Live bytes once they no longer change: connections are closed by their tasks, a moment later.
async fn settled() -> i64 {
    let mut last = LIVE.load(Ordering::Relaxed);
    let mut since = Instant::now();
    let start = Instant::now();
    while since.elapsed() < Duration::from_millis(300) && start.elapsed() < Duration::from_secs(20) {
        tokio::time::sleep(Duration::from_millis(10)).await;
        let now = LIVE.load(Ordering::Relaxed);
        if now != last {
            (last, since) = (now, Instant::now());
        }
    }
    last
}

#[tokio::test]
async fn a_crowd_leaves_nothing_on_the_heap() {
    let world = World::new().await;
    let mut live = Vec::new();
    for generation in 1..=6 {
        world.crowd(generation).await;
        live.push(settled().await);
    }
    assert_eq!(world.wakes.0.load(Ordering::SeqCst), 6, "one wake a crowd");
    assert_nothing_left("HTTP/1.1", &live);
    let mut live = Vec::new();
    for generation in 7..=12 {
        world.crowd_http2(generation).await;
        live.push(settled().await);
    }
    assert_eq!(world.wakes.0.load(Ordering::SeqCst), 12, "one wake a crowd");
    assert_nothing_left("HTTP/2", &live);
}

fn assert_nothing_left(protocol: &str, live: &[i64]) {
    println!("live heap after each crowd of {CROWD} over {protocol}: {live:?} bytes");
    // Tables may still grow, as the kernel spreads each crowd over the workers anew. But what a request leaves
    // behind would show after every crowd: there is one that left less than a byte a request.
    let least = live.windows(2).map(|pair| pair[1] - pair[0]).min().unwrap();
    assert!(least < CROWD as i64, "every crowd left {least} bytes at least: {live:?}");
}
