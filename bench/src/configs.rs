//! What everybody is told: apps of Reveille, nginx and HAProxy, and the server behind all of them.

use std::path::Path;

use crate::{
    error::Result,
    peers::{Behind, SERVICES},
    ports,
    reveille::write,
};

/// An app of Reveille's file that never falls asleep by itself. `more` are further fields.
pub(crate) fn app(name: &str, command: &str, listen: u16, upstream: u16, more: &str) -> String {
    format!(
        "- {{name: {name}, command: {command}, idle: {{ttl: never}}, {more},\n   \
            ports: [{{listen: '127.0.0.1:{listen}', upstream: '127.0.0.1:{upstream}'}}]}}\n"
    )
}

/// The command of the server behind, as a list in YAML.
pub(crate) fn nginx_command(folder: &Path, name: &str, port: u16, core: usize) -> Result<String> {
    let [sink] = ports::free()?;
    let file = write(folder, &format!("server-{name}.conf"), &nginx_server(folder, name, port, sink))?;
    Ok(format!("[taskset, -c, '{core}', nginx, -c, {}]", file.display()))
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

/// What Reveille adds by itself, in nginx's words.
const NGINX_FIELDS: [(&str, &str); 5] = [
    ("X-Forwarded-For", "$proxy_add_x_forwarded_for"),
    ("X-Forwarded-Proto", "$scheme"),
    ("X-Forwarded-Host", "$http_host"),
    ("X-Request-Id", "$request_id"),
    ("Forwarded", r#"'for=$remote_addr;host="$http_host";proto=$scheme'"#),
];

/// Bodies are passed on as they come, as the others do it: nothing is written to a disk in between.
pub(crate) fn nginx_proxy(folder: &Path, listen: [u16; 4], behind: Behind) -> String {
    let [h1, h2, grpc_listen, websocket_listen] = listen;
    let Behind { http, grpc, websocket, .. } = behind;
    let fields = |module: &str| -> String {
        NGINX_FIELDS.iter().map(|(name, value)| format!("{module}_set_header {name} {value}; ")).collect()
    };
    let pass = format!(
        "proxy_http_version 1.1; proxy_set_header Host $http_host; {}proxy_request_buffering off;",
        fields("proxy")
    );
    let call = format!("grpc_pass grpc://grpc; {}", fields("grpc"));
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
         client_max_body_size 0; proxy_max_temp_file_size 0; proxy_temp_path {0}/p; client_body_temp_path {0}/b;\n  \
         upstream http {{ server 127.0.0.1:{http}; {keep} }}\n  \
         upstream grpc {{ server 127.0.0.1:{grpc}; {keep} }}\n  \
         server {{ listen 127.0.0.1:{h1} backlog=4096; location / {{ {plain} }} }}\n  \
         server {{ listen 127.0.0.1:{h2} http2; location / {{ {plain} }} }}\n  \
         server {{ listen 127.0.0.1:{websocket_listen}; location / {{ {upgrade} }} }}\n  \
         server {{ listen 127.0.0.1:{grpc_listen} http2; location / {{ {call} }} }}\n}}\n",
        folder.display(),
    )
}

pub(crate) fn haproxy(listen: [u16; SERVICES], behind: Behind) -> String {
    let [h1, h2, grpc_listen, tcp_listen, websocket_listen, messages_listen] = listen;
    let Behind { http, grpc, tcp, websocket, messages } = behind;
    let fields = "  option forwardfor\n  http-request set-header X-Forwarded-Proto http\n  \
                  http-request set-header X-Forwarded-Host %[req.hdr(host)]\n  \
                  unique-id-format %{+X}o\\ %ci:%cp_%fi:%fp_%Ts_%rt:%pid\n  \
                  http-request set-header X-Request-Id %[unique-id]\n  \
                  http-request set-header Forwarded for=%[src];host=\\\"%[req.hdr(host)]\\\";proto=http\n";
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
