//! What requests cost on the heap, counted by the allocator to the byte: what a crowd of held ones leaves behind
//! (nothing), what one held request takes, and how often one warm request allocates. The last two have budgets:
//! docs/performance.md says what they are made of. Nothing here measures time.
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
        atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering},
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
static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

// SAFETY: every call goes to the system's allocator as it came.
#[allow(unsafe_code, reason = "an allocator is unsafe by its trait")]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        LIVE.fetch_add(layout.size() as i64, Ordering::Relaxed);
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
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
/// Allocations of one warm GET over HTTP/1.1: three (the request's box, its id, and what that is shared by), and room for
/// what runs beside the requests, which is a few in thousands. A fourth would show as a whole one more.
const WARM_BUDGET: f64 = 3.5;
/// Bytes on the heap for one held request: on a connection of its own over HTTP/1.1, as one of a hundred streams of a
/// connection over HTTP/2. The kernel's socket comes on top.
const HELD_BUDGET: [i64; 2] = [6_000, 5_000];

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

    /// Requests to the app while it is awake, one after the other on one connection; gives the allocations of each.
    async fn warm(&self, generation: u64) -> f64 {
        let addresses = Arc::new([self.app]);
        self.publish(Phase::Awake, vec![Endpoint { generation, addresses, ready: true }]);
        let listen = self.listen;
        // Of its own thread: this one's runtime passes the change on.
        tokio::task::spawn_blocking(move || warm_requests(listen)).await.unwrap()
    }

    /// A crowd comes while the app sleeps, is served once it is awake, and goes.
    async fn crowd(&self, generation: u64) -> i64 {
        let before = LIVE.load(Ordering::Relaxed);
        let mut clients: Vec<TcpStream> = (0..CROWD)
            .map(|_| {
                let mut client = TcpStream::connect(self.listen).unwrap();
                client.write_all(b"GET / HTTP/1.1\r\nHost: web\r\n\r\n").unwrap();
                client
            })
            .collect();
        self.until("all are held", |_, held| held == CROWD as u64).await;
        let each = (settled().await - before) / CROWD as i64;
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
        each
    }

    /// Requests without a body over HTTP/2, held, a hundred on a connection; gives the bytes of each. The client here
    /// has a heap, too: it is a plain socket, and all its streams are in one write.
    async fn held_streams(&self) -> i64 {
        let head = [0x82, 0x86, 0x84, 0x41, 3, b'w', b'e', b'b'];
        let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_vec();
        for nth in 0..100_u32 {
            bytes.extend([0, 0, head.len() as u8, 1, 5]);
            bytes.extend((2 * nth + 1).to_be_bytes());
            bytes.extend(head);
        }
        let before = settled().await;
        let mut clients = Vec::with_capacity(CROWD / 100);
        for _ in 0..CROWD / 100 {
            let mut client = TcpStream::connect(self.listen).unwrap();
            client.write_all(&bytes).unwrap();
            clients.push(client);
        }
        self.until("all are held", |_, held| held == CROWD as u64).await;
        let each = (settled().await - before) / CROWD as i64;
        drop(clients);
        self.until("all have left", |in_flight, _| in_flight == 0).await;
        self.publish(Phase::Asleep, Vec::new());
        each
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

/// Allocations of each of many requests, one after the other on one connection.
fn warm_requests(listen: SocketAddr) -> f64 {
    const REQUESTS: u64 = 2_000;
    let mut client = TcpStream::connect(listen).unwrap();
    client.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let mut exchange = || {
        let request = b"GET /some/path HTTP/1.1\r\nHost: web\r\nUser-Agent: a\r\nAccept: */*\r\n\r\n";
        client.write_all(request).unwrap();
        let mut answer = [0; 1024];
        let mut have = 0;
        while !answer[..have].ends_with(b"\r\n\r\nok") {
            have += client.read(&mut answer[have..]).unwrap();
        }
    };
    for _ in 0..100 {
        exchange();
    }
    let before = ALLOCATIONS.load(Ordering::Relaxed);
    for _ in 0..REQUESTS {
        exchange();
    }
    (ALLOCATIONS.load(Ordering::Relaxed) - before) as f64 / REQUESTS as f64
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
    let mut held = 0;
    for generation in 1..=6 {
        held = world.crowd(generation).await;
        live.push(settled().await);
    }
    assert_eq!(world.wakes.0.load(Ordering::SeqCst), 6, "one wake a crowd");
    assert_nothing_left("HTTP/1.1", &live);
    println!("one held request over HTTP/1.1: {held} bytes");
    assert!(held <= HELD_BUDGET[0], "{held} bytes for one held request over HTTP/1.1");
    let streams = world.held_streams().await;
    println!("one held request over HTTP/2: {streams} bytes");
    assert!(streams <= HELD_BUDGET[1], "{streams} bytes for one held request over HTTP/2");
    let mut live = Vec::new();
    for generation in 7..=12 {
        world.crowd_http2(generation).await;
        live.push(settled().await);
    }
    assert_eq!(world.wakes.0.load(Ordering::SeqCst), 13, "one wake a crowd");
    assert_nothing_left("HTTP/2", &live);
    let warm = world.warm(100).await;
    println!("allocations of one warm request: {warm:.2}");
    assert!(warm <= WARM_BUDGET, "{warm} allocations for one warm request; see docs/performance.md");
}

fn assert_nothing_left(protocol: &str, live: &[i64]) {
    println!("live heap after each crowd of {CROWD} over {protocol}: {live:?} bytes");
    // Tables may still grow, as the kernel spreads each crowd over the workers anew. But what a request leaves
    // behind would show after every crowd: there is one that left less than a byte a request.
    let least = live.windows(2).map(|pair| pair[1] - pair[0]).min().unwrap();
    assert!(least < CROWD as i64, "every crowd left {least} bytes at least: {live:?}");
}
