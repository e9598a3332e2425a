//! A machine played by a test: it says what each process does and sees what it is told.

use std::{
    collections::{HashMap, HashSet},
    io,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use reveille_core::{
    app::AppId,
    policy::{Mode, Policy, PolicySpec},
};
use tokio::sync::mpsc;

use super::{Runner, Running};
use crate::local::{
    config::{Command, LocalApp, LocalPort},
    process::{Event, Exit},
};

/// What a process does when it is told to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manner {
    /// It ends at once.
    Obedient,
    /// It ends only when it is killed.
    Deaf,
    /// It does what the test says, nothing else.
    Played,
}

#[derive(Clone)]
pub(crate) struct FakeRunner {
    launches: mpsc::UnboundedSender<Launch>,
    script: Arc<Mutex<Script>>,
}

#[derive(Default)]
struct Script {
    manner: Option<Manner>,
    starts_by_itself: bool,
    taken: HashMap<SocketAddr, String>,
    cannot_spawn: Option<String>,
}

/// The test's side of a process.
pub(crate) struct Launch {
    pub(crate) env: Vec<(String, String)>,
    pub(crate) argv: Vec<String>,
    events: mpsc::UnboundedSender<Event>,
    told: Arc<Mutex<Vec<&'static str>>>,
}

pub(crate) struct FakeProcess {
    manner: Manner,
    events: mpsc::UnboundedReceiver<Event>,
    say: mpsc::UnboundedSender<Event>,
    told: Arc<Mutex<Vec<&'static str>>>,
}

impl FakeRunner {
    pub(crate) fn new() -> (Self, mpsc::UnboundedReceiver<Launch>) {
        let (launches, launched) = mpsc::unbounded_channel();
        (Self { launches, script: Arc::default() }, launched)
    }

    pub(crate) fn set_manner(&self, manner: Manner) {
        self.script.lock().unwrap().manner = Some(manner);
    }

    /// From now on every process reports by itself that it runs.
    pub(crate) fn start_by_themselves(&self) {
        self.script.lock().unwrap().starts_by_itself = true;
    }

    pub(crate) fn occupy(&self, address: &str, by: &str) {
        self.script.lock().unwrap().taken.insert(address.parse().unwrap(), by.to_owned());
    }

    pub(crate) fn refuse_to_spawn(&self, why: &str) {
        self.script.lock().unwrap().cannot_spawn = Some(why.to_owned());
    }
}

impl Runner for FakeRunner {
    type Process = FakeProcess;

    fn spawn(&self, _: &AppId, command: &Command, env: Vec<(String, String)>) -> io::Result<FakeProcess> {
        let script = self.script.lock().unwrap();
        if let Some(why) = &script.cannot_spawn {
            return Err(io::Error::other(why.clone()));
        }
        let (say, events) = mpsc::unbounded_channel();
        let told = Arc::default();
        let launch = Launch { env, argv: command.argv.clone(), events: say.clone(), told: Arc::clone(&told) };
        if script.starts_by_itself {
            launch.say(Event::Started { pid: 1 });
        }
        let _ = self.launches.send(launch);
        Ok(FakeProcess { manner: script.manner.unwrap_or(Manner::Obedient), events, say, told })
    }

    fn choose(&self, taken: &HashSet<u16>) -> io::Result<u16> {
        let script = self.script.lock().unwrap();
        let is_free = |port: &u16| {
            !taken.contains(port) && !script.taken.contains_key(&SocketAddr::from(([127, 0, 0, 1], *port)))
        };
        (20_000..30_000).find(is_free).ok_or_else(|| io::Error::other("all taken"))
    }

    fn check_free(&self, address: SocketAddr) -> Result<(), String> {
        self.script.lock().unwrap().taken.get(&address).cloned().map_or(Ok(()), Err)
    }
}

impl Launch {
    pub(crate) fn say(&self, event: Event) {
        let _ = self.events.send(event);
    }

    pub(crate) fn die(&self, exit: Exit) {
        self.say(Event::Exited(exit));
        self.say(Event::Gone);
    }

    pub(crate) fn was_told(&self) -> Vec<&'static str> {
        self.told.lock().unwrap().clone()
    }
}

impl FakeProcess {
    fn told(&self, what: &'static str, obeys: bool, exit: Exit) {
        self.told.lock().unwrap().push(what);
        if obeys {
            let _ = self.say.send(Event::Exited(exit));
            let _ = self.say.send(Event::Gone);
        }
    }
}

impl Running for FakeProcess {
    async fn event(&mut self) -> Event {
        self.events.recv().await.expect("the process holds a sender itself")
    }

    fn terminate(&mut self) {
        self.told("terminate", self.manner == Manner::Obedient, Exit::Code(0));
    }

    fn kill(&mut self) {
        self.told("kill", self.manner == Manner::Deaf, Exit::Signal(9));
    }

    fn output(&self) -> Vec<String> {
        vec!["its last words".to_owned()]
    }
}

/// A policy as the user writes it, in JSON.
pub(crate) fn policy(json: &str) -> Arc<Policy> {
    let spec: PolicySpec = serde_json::from_str(json).unwrap();
    Arc::new(spec.resolve(Mode::Local).unwrap())
}

/// An app with one port and the default policy; the name stands in its command, too.
pub(crate) fn app(name: &str, listen: u16) -> LocalApp {
    LocalApp {
        id: AppId::local(name),
        command: Command {
            argv: vec![name.to_owned()],
            program: "/bin/app".into(),
            env: std::collections::BTreeMap::new(),
            working_dir: "/".into(),
            stop_grace: Duration::from_secs(10),
        },
        ports: vec![port(None, listen, None)],
        hosts: Vec::new(),
        policy: policy("{}"),
    }
}

pub(crate) fn port(name: Option<&str>, listen: u16, upstream: Option<&str>) -> LocalPort {
    LocalPort {
        name: name.map(str::to_owned),
        listen: SocketAddr::from(([127, 0, 0, 1], listen)),
        upstream: upstream.map(|address| address.parse().unwrap()),
        protocol: reveille_core::directory::Protocol::Http,
        upstream_protocol: reveille_core::directory::UpstreamProtocol::Auto,
    }
}
