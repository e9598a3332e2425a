//! The proxies that are compared, and what is behind them.
//!
//! The servers behind are apps of Reveille, as it wants to start them itself; the other proxies send to the same
//! ports. All stay awake. Proxies run on core 0, servers on core 1, one worker each.

use std::{
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU16, Ordering},
    thread,
    time::{Duration, Instant},
};

use crate::{
    cpu,
    error::{Error, Result},
};

/// How long a proxy or a server may take to listen.
const STARTS_WITHIN: Duration = Duration::from_secs(20);

/// What a proxy is asked to pass on.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Service {
    /// HTTP/1.1 both ways.
    Http,
    /// HTTP/2 from the client, HTTP/1.1 to the server.
    Http2,
    /// gRPC: HTTP/2 both ways.
    Grpc,
    /// Bytes. Behind them is HTTP/1.1, too.
    Tcp,
    /// HTTP/1.1 that becomes a WebSocket.
    WebSocket,
    /// Bytes. Behind them is a server that sends each message back.
    Messages,
}

const SERVICES: usize = 6;

/// The ports of the servers behind.
#[derive(Clone, Copy)]
struct Behind {
    http: u16,
    grpc: u16,
    tcp: u16,
    websocket: u16,
    messages: u16,
}

/// One that is compared.
pub(crate) struct Peer {
    pub(crate) name: &'static str,
    ports: [Option<u16>; SERVICES],
    /// The processes whose CPU time is its own.
    pub(crate) pids: Vec<u32>,
}

pub(crate) struct Peers {
    pub(crate) all: Vec<Peer>,
    pub(crate) folder: PathBuf,
    running: Vec<Child>,
}

impl Peer {
    pub(crate) fn port(&self, service: Service) -> Option<u16> {
        self.ports[service as usize]
    }
}

impl Drop for Peers {
    fn drop(&mut self) {
        for child in &mut self.running {
            let pid = nix::unistd::Pid::from_raw(child.id().cast_signed());
            // It may have ended by itself; either way it is waited for.
            let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM);
            let _ = child.wait();
        }
    }
}

impl Peers {
    pub(crate) fn start(reveille: &Path) -> Result<Self> {
        let folder = PathBuf::from("target/bench/run");
        fs::create_dir_all(&folder).map_err(Error::of(format!("{} cannot be made", folder.display())))?;
        let folder = folder.canonicalize().map_err(Error::of("target/bench/run"))?;
        let mut peers = Self { all: Vec::new(), folder, running: Vec::new() };
        let [http, grpc, tcp, websocket, messages] = ports()?;
        let behind = Behind { http, grpc, tcp, websocket, messages };
        peers.reveille(reveille, behind)?;
        peers.nginx(behind)?;
        peers.haproxy(behind)?;
        peers.all.push(Peer {
            name: "direct",
            ports: [Some(http), None, Some(grpc), Some(tcp), Some(websocket), Some(messages)],
            pids: Vec::new(),
        });
        Ok(peers)
    }

    fn reveille(&mut self, program: &Path, behind: Behind) -> Result<()> {
        let Behind { http, grpc, tcp, websocket, messages } = behind;
        let [listen_http, listen_grpc, listen_tcp, listen_websocket, listen_messages, admin] = ports()?;
        let this = std::env::current_exe().map_err(Error::of("this program's file is unknown"))?;
        let servers = [("http", http), ("tcp", tcp)].map(|(name, port)| -> Result<PathBuf> {
            let sink = ports::<1>()?[0];
            self.write(&format!("server-{name}.conf"), &nginx_server(&self.folder, name, port, sink))
        });
        let [http_conf, tcp_conf] = servers;
        let file = format!(
            "admin: 127.0.0.1:{admin}\napps:\n\
             - {{name: http, command: [taskset, -c, '1', nginx, -c, {}], idle: {{ttl: never}},\n   \
                ports: [{{listen: '127.0.0.1:{listen_http}', upstream: '127.0.0.1:{http}'}}]}}\n\
             - {{name: tcp, command: [taskset, -c, '1', nginx, -c, {}], idle: {{ttl: never}}, preset: tcp,\n   \
                ports: [{{listen: '127.0.0.1:{listen_tcp}', upstream: '127.0.0.1:{tcp}'}}]}}\n\
             - {{name: grpc, command: [taskset, -c, '1', {this}, grpc-server, '{grpc}'], idle: {{ttl: never}},\n   \
                ports: [{{listen: '127.0.0.1:{listen_grpc}', upstream: '127.0.0.1:{grpc}'}}]}}\n\
             - {{name: websocket, command: [taskset, -c, '1', {this}, message-server, '{websocket}'],\n   \
                ports: [{{listen: '127.0.0.1:{listen_websocket}', upstream: '127.0.0.1:{websocket}'}}],\n   \
                idle: {{ttl: never}}}}\n\
             - {{name: messages, command: [taskset, -c, '1', {this}, message-server, '{messages}'], preset: tcp,\n   \
                ports: [{{listen: '127.0.0.1:{listen_messages}', upstream: '127.0.0.1:{messages}'}}],\n   \
                idle: {{ttl: never}}}}\n",
            http_conf?.display(),
            tcp_conf?.display(),
            this = this.display(),
        );
        let file = self.write("reveille.yaml", &file)?;
        fs::write(self.folder.join("1mib"), vec![b'd'; 1 << 20])
            .map_err(Error::of("1mib cannot be written"))?;
        let pid =
            self.run(&[&program.display().to_string(), "local", "--workers", "1", "-c", &show(&file)])?;
        wait_for(listen_http)?;
        for app in ["http", "tcp", "grpc", "websocket", "messages"] {
            let woken = Command::new(program)
                .args(["wake", app, "--wait", "--server", &format!("http://127.0.0.1:{admin}")])
                .output()
                .map_err(Error::of("reveille wake does not run"))?;
            if !woken.status.success() {
                let why = String::from_utf8_lossy(&woken.stderr).into_owned();
                return Err(Error::new(format!("{app} did not wake: {why}")));
            }
        }
        let ports = [listen_http, listen_http, listen_grpc, listen_tcp, listen_websocket, listen_messages];
        // Its apps are below it; their CPU time is not its own.
        self.all.push(Peer { name: "reveille", ports: ports.map(Some), pids: vec![pid] });
        Ok(())
    }

    fn nginx(&mut self, behind: Behind) -> Result<()> {
        let [http, http2, grpc, websocket] = ports()?;
        let file =
            self.write("nginx.conf", &nginx_proxy(&self.folder, [http, http2, grpc, websocket], behind))?;
        let pid = self.run(&["nginx", "-c", &show(&file)])?;
        wait_for(http)?;
        let ports = [Some(http), Some(http2), Some(grpc), None, Some(websocket), None];
        self.all.push(Peer { name: "nginx", ports, pids: cpu::tree(pid) });
        Ok(())
    }

    fn haproxy(&mut self, behind: Behind) -> Result<()> {
        let listen = ports::<SERVICES>()?;
        let file = self.write("haproxy.cfg", &haproxy(listen, behind))?;
        let pid = self.run(&["haproxy", "-db", "-f", &show(&file)])?;
        wait_for(listen[0])?;
        self.all.push(Peer { name: "haproxy", ports: listen.map(Some), pids: cpu::tree(pid) });
        Ok(())
    }

    fn write(&self, name: &str, text: &str) -> Result<PathBuf> {
        let path = self.folder.join(name);
        fs::write(&path, text).map_err(Error::of(format!("{} cannot be written", path.display())))?;
        Ok(path)
    }

    /// Starts a proxy on core 0. What it says is kept in a file.
    fn run(&mut self, words: &[&str]) -> Result<u32> {
        let log = fs::File::create(self.folder.join(format!("{}.log", self.running.len())))
            .map_err(Error::of("a log cannot be written"))?;
        let child = Command::new("taskset")
            .args(["-c", "0"])
            .args(words)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .map_err(Error::of(format!("{} cannot be started", words[0])))?;
        let pid = child.id();
        self.running.push(child);
        Ok(pid)
    }
}

fn show(path: &Path) -> String {
    path.display().to_string()
}

/// Ports that are free, for now. They lie below those that the kernel gives to outgoing connections: the load makes
/// many of these, and a server that could not have its port would be missed.
fn ports<const N: usize>() -> Result<[u16; N]> {
    static NEXT: AtomicU16 = AtomicU16::new(10_000);
    let mut ports = [0; N];
    for port in &mut ports {
        *port = loop {
            let next = NEXT.fetch_add(1, Ordering::Relaxed);
            if next >= 32_000 {
                return Err(Error::new("no port between 10000 and 32000 is free"));
            }
            if TcpListener::bind(("127.0.0.1", next)).is_ok() {
                break next;
            }
        };
    }
    Ok(ports)
}

fn wait_for(port: u16) -> Result<()> {
    let begun = Instant::now();
    while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
        if begun.elapsed() > STARTS_WITHIN {
            return Err(Error::new(format!("nobody listens on {port}; see target/bench/run/*.log")));
        }
        thread::park_timeout(Duration::from_millis(20));
    }
    Ok(())
}

/// The server: a small body, a megabyte, and a sink that reads what is sent.
fn nginx_server(folder: &Path, name: &str, port: u16, sink: u16) -> String {
    let small = "0123456789".repeat(10);
    format!(
        "worker_processes 1; daemon off; pid {0}/server-{name}.pid; error_log {0}/server-{name}.err;\n\
         events {{ worker_connections 8192; }}\n\
         http {{\n  access_log off; keepalive_requests 1000000000; keepalive_timeout 1h; client_max_body_size 0;\n  \
         client_body_buffer_size 2m; client_body_temp_path {0}/body; proxy_temp_path {0}/proxy;\n  \
         server {{ listen 127.0.0.1:{port} backlog=4096; root {0};\n    \
         location / {{ default_type text/plain; return 200 {small}; }}\n    location = /1mib {{ }}\n    \
         location = /sink {{ proxy_pass http://127.0.0.1:{sink}; proxy_set_body ''; }} }}\n  \
         server {{ listen 127.0.0.1:{sink}; return 200 ok; }}\n}}\n",
        folder.display(),
    )
}

fn nginx_proxy(folder: &Path, listen: [u16; 4], behind: Behind) -> String {
    let [h1, h2, grpc_listen, websocket_listen] = listen;
    let Behind { http, grpc, websocket, .. } = behind;
    let pass = "proxy_http_version 1.1; \
                proxy_set_header Host $http_host; proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for; \
                proxy_set_header X-Forwarded-Proto $scheme; proxy_set_header X-Forwarded-Host $http_host; \
                proxy_set_header X-Request-Id $request_id; proxy_request_buffering off;";
    let call = "grpc_pass grpc://grpc; grpc_set_header X-Forwarded-For $proxy_add_x_forwarded_for; \
                grpc_set_header X-Forwarded-Proto $scheme; grpc_set_header X-Forwarded-Host $http_host; \
                grpc_set_header X-Request-Id $request_id;";
    let plain = format!("proxy_pass http://http; proxy_set_header Connection ''; {pass}");
    let upgrade = format!(
        "proxy_pass http://127.0.0.1:{websocket}; proxy_set_header Connection upgrade; \
         proxy_set_header Upgrade $http_upgrade; {pass}"
    );
    let keep = "keepalive 512; keepalive_requests 1000000000;";
    format!(
        "worker_processes 1; daemon off; pid {0}/nginx.pid; error_log {0}/nginx.err;\n\
         events {{ worker_connections 8192; }}\n\
         http {{\n  access_log off; keepalive_requests 1000000000; http2_max_concurrent_streams 1000;\n  \
         client_max_body_size 0; proxy_temp_path {0}/p; client_body_temp_path {0}/b;\n  \
         upstream http {{ server 127.0.0.1:{http}; {keep} }}\n  \
         upstream grpc {{ server 127.0.0.1:{grpc}; {keep} }}\n  \
         server {{ listen 127.0.0.1:{h1} backlog=4096; location / {{ {plain} }} }}\n  \
         server {{ listen 127.0.0.1:{h2} http2; location / {{ {plain} }} }}\n  \
         server {{ listen 127.0.0.1:{websocket_listen}; location / {{ {upgrade} }} }}\n  \
         server {{ listen 127.0.0.1:{grpc_listen} http2; location / {{ {call} }} }}\n}}\n",
        folder.display(),
    )
}

fn haproxy(listen: [u16; SERVICES], behind: Behind) -> String {
    let [h1, h2, grpc_listen, tcp_listen, websocket_listen, messages_listen] = listen;
    let Behind { http, grpc, tcp, websocket, messages } = behind;
    let fields = "  option forwardfor\n  http-request set-header X-Forwarded-Proto http\n  \
                  http-request set-header X-Forwarded-Host %[req.hdr(host)]\n  \
                  unique-id-format %{+X}o\\ %ci:%cp_%fi:%fp_%Ts_%rt:%pid\n  \
                  http-request set-header X-Request-Id %[unique-id]\n";
    format!(
        "global\n  nbthread 1\n  maxconn 8000\n  tune.h2.max-concurrent-streams 1000\n\
         defaults\n  mode http\n  timeout connect 5s\n  timeout client 1h\n  timeout server 1h\n  http-reuse always\n\
         frontend h1\n  bind 127.0.0.1:{h1}\n{fields}  default_backend http\n\
         frontend h2\n  bind 127.0.0.1:{h2} proto h2\n{fields}  default_backend http\n\
         frontend grpc\n  bind 127.0.0.1:{grpc_listen} proto h2\n{fields}  default_backend grpc\n\
         listen tcp\n  mode tcp\n  bind 127.0.0.1:{tcp_listen}\n  server s 127.0.0.1:{tcp}\n\
         listen messages\n  mode tcp\n  bind 127.0.0.1:{messages_listen}\n  server s 127.0.0.1:{messages}\n\
         frontend websocket\n  bind 127.0.0.1:{websocket_listen}\n{fields}  default_backend websocket\n\
         backend websocket\n  server s 127.0.0.1:{websocket}\n\
         backend http\n  server s 127.0.0.1:{http}\n\
         backend grpc\n  server s 127.0.0.1:{grpc} proto h2\n",
    )
}
