//! The app of the cold cases: a server that takes its time before it listens, and says in each answer when it could
//! answer, and when the request reached it.

use std::{env, fs, io, net::SocketAddr, path::Path, time::Duration};

use nix::{sys::stat::Mode, unistd::mkfifo};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpSocket, TcpStream},
};

use crate::{
    clock, cpu,
    error::{Error, Result},
};

/// Where it is asked whether it is ready. Such a request is none of those that are measured.
pub(crate) const READY: &str = "/ready";

/// Connections that may wait to be accepted: as many as with nginx and Node.js.
const QUEUE: u32 = 511;

/// When it begins to listen.
#[derive(Clone, Copy)]
pub(crate) enum Start<'a> {
    /// After a time between these, each time another one.
    After { least: Duration, most: Duration },
    /// When somebody has written to this pipe: see [`Gate`].
    WhenLet(&'a Gate),
}

/// A named pipe that lets a server listen.
pub(crate) struct Gate(std::path::PathBuf);

impl Gate {
    pub(crate) fn new(folder: &Path) -> Result<Self> {
        let path = folder.join("gate");
        // One of an earlier run.
        let _ = fs::remove_file(&path);
        mkfifo(&path, Mode::S_IRUSR | Mode::S_IWUSR).map_err(Error::of("no pipe can be made"))?;
        Ok(Self(path))
    }

    /// Lets the server listen that waits, or that will.
    pub(crate) fn open(&self) -> Result<()> {
        // Blocks until there is one that reads.
        fs::write(&self.0, "now").map_err(Error::of("the pipe cannot be written"))
    }
}

/// What an answer says, in microseconds of [`clock::now`].
#[derive(Clone, Copy)]
pub(crate) struct Stamps {
    /// The program began to run.
    pub(crate) runs: u64,
    /// It listens.
    pub(crate) listens: u64,
    /// The request's first byte came.
    pub(crate) reached: u64,
    /// The so-manieth connection brought it.
    pub(crate) connection: u64,
}

impl Stamps {
    /// Reads the body of an answer.
    pub(crate) fn read(body: &str) -> Option<Self> {
        let mut words = body.split_whitespace().map(str::parse);
        let mut next = || words.next()?.ok();
        Some(Self { runs: next()?, listens: next()?, reached: next()?, connection: next()? })
    }
}

/// Its command, as a list in YAML.
pub(crate) fn command(port: u16, start: Start<'_>) -> Result<String> {
    let this = env::current_exe().map_err(Error::of("this program's file is unknown"))?;
    let start = match start {
        Start::After { least, most } => format!("after, '{}', '{}'", least.as_micros(), most.as_micros()),
        Start::WhenLet(gate) => format!("when-let, {}", gate.0.display()),
    };
    Ok(format!("[{}, sleeper-server, '{port}', {start}]", this.display()))
}

/// Serves until the process is ended.
pub(crate) fn run(words: &mut dyn Iterator<Item = String>) -> Result<()> {
    let runs = clock::now();
    let mut word = || words.next().ok_or_else(|| Error::new("sleeper-server needs a port and when to start"));
    let number = |word: String| word.parse::<u64>().map_err(Error::of(format!("{word} is no number")));
    let port = number(word()?)?;
    let port = u16::try_from(port).map_err(Error::of("sleeper-server's port"))?;
    cpu::stay_on_load_core().map_err(Error::of("the server cannot be kept on its core"))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(Error::of("no runtime"))?;
    match word()?.as_str() {
        "after" => {
            let (least, most) = (number(word()?)?, number(word()?)?);
            clock::pause(Duration::from_micros(fastrand::u64(least..=most)));
        }
        "when-let" => drop(fs::read(word()?).map_err(Error::of("the pipe cannot be read"))?),
        other => return Err(Error::new(format!("{other} is no way to start"))),
    }
    runtime.block_on(async {
        let listener = listen(port);
        let listens = clock::now();
        let listener = listener.map_err(Error::of(format!("port {port} cannot be opened")))?;
        for nth in 1_u64.. {
            let (stream, _) = listener.accept().await.map_err(Error::of("no connection can be accepted"))?;
            tokio::spawn(serve(stream, runs, listens, nth));
        }
        Ok(())
    })
}

fn listen(port: u16) -> io::Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(SocketAddr::from(([127, 0, 0, 1], port)))?;
    socket.listen(QUEUE)
}

/// An error is a client that left, which is the load's to count.
async fn serve(mut stream: TcpStream, runs: u64, listens: u64, nth: u64) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut have = Vec::with_capacity(2048);
    loop {
        if stream.read_buf(&mut have).await? == 0 {
            return Ok(());
        }
        let reached = clock::now();
        while !have.ends_with(b"\r\n\r\n") {
            if stream.read_buf(&mut have).await? == 0 {
                return Ok(());
            }
        }
        have.clear();
        let body = format!("{runs} {listens} {reached} {nth}\n");
        let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        stream.write_all(answer.as_bytes()).await?;
    }
}
