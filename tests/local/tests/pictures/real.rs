//! A real Prometheus that scrapes a real run: every panel has something to show, and the alerts that ought to, fire.

use std::time::Instant;

use reveille_tests_local::{
    App, Conn, Prometheus, Reveille,
    app::file,
    get, grpc, h2,
    h2raw::{H2, kind},
    pause, ports,
    prometheus::now,
    report::{figure, skipped},
    tcp::Tcp,
    until,
    wait::{ms, secs},
};

use super::{filled_in, panels, queries, the_dashboard, title};
use crate::support::{SOON, problem};

/// What a rate is taken over here, where scrapes come twice a second.
const INTERVAL: &str = "4s";

/// Panels whose data only a cluster has, and why. They must be empty here, or they do not belong on this list.
const OF_A_CLUSTER: [(&str, &str); 1] = [("Leader", "local mode is one process: nobody stands by")];

#[test]
fn every_panel_shows_a_real_run_and_the_right_alerts_fire() {
    let test = "pictures::real::every_panel_shows_a_real_run_and_the_right_alerts_fire";
    let apps = Apps::new();
    let reveille = Reveille::start(&file(&apps.all()));
    let began = now();
    let Some(prometheus) = Prometheus::start(reveille.admin) else {
        skipped(test, "Prometheus is not installed (`scripts/need.sh prometheus`)");
        return;
    };
    // What comes next is then known to be new.
    until("a whole interval was scraped", SOON, || prometheus.now(&format!("up offset {INTERVAL}")) == 1);
    apps.live_through_everything(&reveille, &prometheus);

    let mut left: Vec<(String, String)> = Vec::new();
    let dashboard = the_dashboard();
    let panels = panels(&dashboard);
    for panel in &panels {
        if OF_A_CLUSTER.iter().any(|(name, _)| *name == title(panel)) {
            for query in queries(panel) {
                assert_eq!(prometheus.since(began, query).len(), 0, "{}: off the list with it", title(panel));
            }
        } else {
            let own = queries(panel).into_iter().map(|query| filled_in(query, INTERVAL, "1m"));
            left.extend(own.map(|query| (title(panel).to_owned(), query)));
        }
    }
    let count = left.len();
    let last = Instant::now() + SOON;
    while !left.is_empty() {
        left.retain(|(_, query)| !shows_something(&prometheus.since(began, query)));
        assert!(left.is_empty() || Instant::now() < last, "without data: {left:#?}");
        pause(ms(100));
    }
    figure(test, &format!("{count} queries of {} panels found data", panels.len() - OF_A_CLUSTER.len()));

    for (name, health, error) in prometheus.rules() {
        assert_eq!((health.as_str(), error.as_str()), ("ok", ""), "{name}");
    }
    let expected = [("ReveilleHoldFull", "full"), ("ReveilleWakeFailed", "broken")];
    let expected = expected.map(|(alert, app)| (alert.to_owned(), app.to_owned()));
    until("the right alerts fire, and no other", SOON, || {
        let mut firing = prometheus.firing();
        firing.sort();
        firing == expected
    });
    drop(prometheus);
    reveille.stop();
}

/// A query that only ever yields zeros or nothing at all was not asked of what happened.
fn shows_something(values: &[f64]) -> bool {
    values.iter().any(|value| value.is_finite() && *value > 0.0)
}

/// One app for each thing that can happen.
struct Apps {
    sleeper: App,
    broken: App,
    full: App,
    half: App,
    refusing: App,
    grpc: App,
    tcp: App,
    dead: u16,
}

impl Apps {
    fn new() -> Self {
        let dead = ports::free();
        let half = App::slow("half");
        let two_ports = format!(
            "ports: [{{listen: \"127.0.0.1:{}\", upstream: \"127.0.0.1:{}\"}}, {{listen: \"127.0.0.1:{dead}\"}}]",
            half.listen, half.upstream
        );
        Self {
            sleeper: App::starting_in("sleeper", 600)
                .set("idle: {ttl: 1s}")
                .set("cost: {perReplicaHour: \"1000000\"}"),
            broken: App::slow("broken").env("SLOW_EXIT", "3"),
            full: App::slow("full").starting_when_let().set("hold: {maxRequests: 1}"),
            half: half.set(&two_ports),
            refusing: App::h2c("refusing").port("upstreamProtocol: h2c").env("ECHO_REFUSE", "2"),
            grpc: App::grpc("grpc"),
            tcp: App::tcp("tcp", "echo").port("protocol: tcp"),
            dead,
        }
    }

    fn all(&self) -> Vec<&App> {
        vec![&self.sleeper, &self.broken, &self.full, &self.half, &self.refusing, &self.grpc, &self.tcp]
    }

    fn live_through_everything(&self, reveille: &Reveille, prometheus: &Prometheus) {
        let tunnel = Tcp::open(self.tcp.listen);
        tunnel.send("hello");
        assert_eq!(tunnel.read(5), b"hello");
        let mut held = Conn::open(self.full.listen);
        held.send_get("/held");
        reveille.admin.await_held("full", 1, SOON);
        problem(&get(self.full.listen, "/refused"), 503);

        problem(&get(self.broken.listen, "/"), 502);
        for _ in 0..2 {
            assert_eq!(get(self.sleeper.listen, "/").status(), 200);
            reveille.admin.await_phase("sleeper", "Asleep", SOON);
        }
        assert_eq!(get(self.half.listen, "/").status(), 200);
        problem(&get(self.dead, "/"), 502);
        let refused = h2::Client::open(self.refusing.listen);
        assert_eq!(refused.ask(&h2::Request::post("/sink", "a small body")).status(), 200);
        let reply = grpc::Client::open(self.grpc.listen).call(&grpc::Call::unary("hello"));
        assert_eq!(reply.code, grpc::Code::Ok, "{reply:?}");
        flood(self.half.listen);
        self.reload(reveille);
        self.full.let_start();
        assert_eq!(held.answer().status(), 200);

        // A rate does not know what a series began with.
        until("the tunnel is known", SOON, || prometheus.now("reveille_tunnel_bytes_total") == 2);
        assert_eq!(tunnel.exchange(b"more").unwrap(), b"more");
        work(reveille, self.half.listen);
    }

    /// A changed file: one app comes, one goes.
    fn reload(&self, reveille: &Reveille) {
        let new = App::slow("new");
        let mut apps = self.all();
        apps.push(&new);
        reveille.reload(&file(&apps));
        until("the new app serves", SOON, || Conn::try_open(new.listen).is_ok());
        assert_eq!(get(new.listen, "/").status(), 200);
        reveille.reload(&file(&self.all()));
        until("it is gone", secs(20), || !reveille.admin.names().contains(&"new".to_owned()));
    }
}

/// Requests until the CPU time that they cost can be seen: it is counted in whole seconds.
fn work(reveille: &Reveille, port: u16) {
    let spent = || reveille.admin.metric("process_cpu_seconds_total", &[]);
    let (before, mut conn) = (spent(), Conn::open(port));
    until("a second of CPU time is spent", secs(30), || {
        for _ in 0..200 {
            assert_eq!(conn.get("/").status(), 200);
        }
        spent() > before
    });
}

/// A client that breaks the limits of HTTP/2, and is put out.
fn flood(port: u16) {
    let mut raw = H2::open(port);
    while raw.try_send_frame(kind::PING, 0, 0, &[0; 8]).is_ok() {}
    assert!(raw.ends_within(SOON).0, "still open");
}
