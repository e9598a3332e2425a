//! The proxies that are compared, and what is behind them.
//!
//! The servers behind are apps of Reveille, as it wants to start them itself; the other proxies send to the same
//! ports. All stay awake. Proxies run on core 0, servers on core 1, one worker each.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use crate::{
    Wanted,
    configs::{self, app, haproxy, nginx_proxy},
    cpu::{self, LOAD_CORE},
    error::{Error, Result},
    ports,
    reveille::{How, Reveille, write},
};

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

pub(crate) const SERVICES: usize = 6;

/// The ports of the servers behind.
#[derive(Clone, Copy)]
pub(crate) struct Behind {
    pub(crate) http: u16,
    pub(crate) grpc: u16,
    pub(crate) tcp: u16,
    pub(crate) websocket: u16,
    pub(crate) messages: u16,
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
    folder: PathBuf,
    running: Vec<Child>,
    /// With it go the servers behind.
    _reveille: Reveille,
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
    pub(crate) fn start(wanted: &Wanted) -> Result<Self> {
        let folder = wanted.folder.clone();
        let [http, grpc, tcp, websocket, messages] = ports::free()?;
        let behind = Behind { http, grpc, tcp, websocket, messages };
        fs::write(folder.join("1mib"), vec![b'd'; 1 << 20]).map_err(Error::of("1mib cannot be written"))?;
        let (reveille, ours) = reveille(wanted, behind)?;
        let mut peers = Self { all: vec![ours], folder, running: Vec::new(), _reveille: reveille };
        peers.nginx(behind)?;
        peers.haproxy(behind)?;
        peers.all.push(Peer {
            name: "direct",
            ports: [Some(http), None, Some(grpc), Some(tcp), Some(websocket), Some(messages)],
            pids: Vec::new(),
        });
        Ok(peers)
    }

    fn nginx(&mut self, behind: Behind) -> Result<()> {
        let [http, http2, grpc, websocket] = ports::free()?;
        let text = nginx_proxy(&self.folder, [http, http2, grpc, websocket], behind);
        let file = write(&self.folder, "nginx.conf", &text)?;
        let ports = [Some(http), Some(http2), Some(grpc), None, Some(websocket), None];
        self.run("nginx", ports, &["-c", &show(&file)])
    }

    fn haproxy(&mut self, behind: Behind) -> Result<()> {
        let listen = ports::free::<SERVICES>()?;
        let file = write(&self.folder, "haproxy.cfg", &haproxy(listen, behind))?;
        self.run("haproxy", listen.map(Some), &["-db", "-f", &show(&file)])
    }

    /// Starts a proxy on core 0. What it says is kept in a file.
    fn run(&mut self, name: &'static str, ports: [Option<u16>; SERVICES], words: &[&str]) -> Result<()> {
        let log = fs::File::create(self.folder.join(format!("{name}.log")))
            .map_err(Error::of("a log cannot be written"))?;
        let child = Command::new("taskset")
            .args(["-c", "0", name])
            .args(words)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .map_err(Error::of(format!("{name} cannot be started")))?;
        let pid = child.id();
        self.running.push(child);
        // Who has answered has all its processes: nginx listens before it has workers.
        ports::wait_for_answer(ports[Service::Http as usize].unwrap_or_default())?;
        self.all.push(Peer { name, ports, pids: cpu::tree(pid) });
        Ok(())
    }
}

fn reveille(wanted: &Wanted, behind: Behind) -> Result<(Reveille, Peer)> {
    let Behind { http, grpc, tcp, websocket, messages } = behind;
    let listen = ports::free::<5>()?;
    let server = |name, port| configs::nginx_command(&wanted.folder, name, port, LOAD_CORE);
    let this = std::env::current_exe().map_err(Error::of("this program's file is unknown"))?;
    let this = |word, port| format!("[taskset, -c, '{LOAD_CORE}', {}, {word}, '{port}']", this.display());
    let apps = [
        ("http", "http", http, server("http", http)?),
        ("grpc", "http", grpc, this("grpc-server", grpc)),
        ("tcp", "tcp", tcp, server("tcp", tcp)?),
        ("websocket", "http", websocket, this("message-server", websocket)),
        ("messages", "tcp", messages, this("message-server", messages)),
    ];
    let mut text = "apps:\n".to_owned();
    for ((name, preset, upstream, command), listen) in apps.iter().zip(listen) {
        text += &app(name, command, listen, *upstream, &format!("preset: {preset}"));
    }
    let reveille = Reveille::start(wanted, "reveille", &text, How::default())?;
    for (name, ..) in apps {
        reveille.admin.wake(name)?;
    }
    let [http, grpc, tcp, websocket, messages] = listen;
    let ports = [http, http, grpc, tcp, websocket, messages].map(Some);
    // Its apps are below it; their CPU time is not its own.
    let ours = Peer { name: "reveille", ports, pids: vec![reveille.pid()] };
    Ok((reveille, ours))
}

fn show(path: &Path) -> String {
    path.display().to_string()
}
