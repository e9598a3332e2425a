//! A real nginx as an app: a plain one, one that speaks HTTP/2 with prior knowledge, and one that passes gRPC on.

use std::fs;

use super::App;
use crate::product;

impl App {
    /// A real nginx with two workers. `/` is answered by itself, `/files/` from its folder.
    pub fn nginx(name: &str) -> Self {
        Self::nginx_with(name, "", "return 200 \"hello from nginx\\n\";")
    }

    /// The same over HTTP/2 with prior knowledge, and over nothing else: before 1.25.1 a port without TLS speaks
    /// either.
    pub fn nginx_h2c(name: &str) -> Self {
        Self::nginx_with(name, " http2", "return 200 \"hello from nginx\\n\";")
    }

    /// An nginx that passes gRPC on to a port, such as the one where Reveille listens for an app: a client of it.
    /// What it cannot pass on it answers as nginx does, by 502 or 504.
    pub fn nginx_grpc(name: &str, to: u16) -> Self {
        let pass = format!("grpc_pass grpc://127.0.0.1:{to}; grpc_read_timeout 60s; grpc_send_timeout 60s;");
        Self::nginx_with(name, " http2", &pass)
    }

    fn nginx_with(name: &str, listen: &str, root: &str) -> Self {
        let program = product::nginx().display().to_string();
        let mut app = Self::new(name, vec![program]);
        let folder = app.scratch.path().display().to_string();
        fs::create_dir_all(app.scratch.file("files")).expect("the test's own folder can be written");
        let conf = conf(&folder, &format!("127.0.0.1:{}{listen}", app.upstream), root);
        let conf = app.scratch.write("nginx.conf", &conf).display().to_string();
        let arguments = ["-p", &folder, "-e", "stderr", "-c", &conf, "-g", "daemon off;"];
        app.command.extend(arguments.map(str::to_owned));
        app
    }
}

fn conf(folder: &str, listen: &str, root: &str) -> String {
    let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|kind| format!("  {kind}_temp_path {folder}/{kind};\n"))
        .concat();
    format!(
        "worker_processes 2;\npid {folder}/nginx.pid;\nerror_log stderr warn;\n\
         events {{ worker_connections 4096; }}\n\
         http {{\n{temporary}  access_log off;\n  keepalive_requests 1000000;\n  client_max_body_size 0;\n\
         \x20 server {{\n    listen {listen};\n    location / {{ {root} }}\n\
         \x20   location /files/ {{ root {folder}; }}\n  }}\n}}\n"
    )
}
