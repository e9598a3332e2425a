//! A real nginx as an image: what most tests put to sleep.

use super::Image;
use crate::need;

/// It answers every path by itself, with the name of its pod, so that a client sees which one it reached.
const CONFIGURATION: &str = r#"
user root;
daemon off;
worker_processes 1;
pid /tmp/nginx.pid;
error_log stderr warn;
events { worker_connections 4096; }
http {
    access_log off;
    client_body_temp_path /tmp/client_body;
    proxy_temp_path /tmp/proxy;
    fastcgi_temp_path /tmp/fastcgi;
    uwsgi_temp_path /tmp/uwsgi;
    scgi_temp_path /tmp/scgi;
    keepalive_requests 1000000;
    client_max_body_size 0;
    server {
        listen 80;
        location / { return 200 "$hostname\n"; }
        location /stub_status { stub_status; }
    }
}
"#;

impl Image {
    /// nginx on port 80.
    ///
    /// # Panics
    /// If this machine has none.
    pub fn nginx() -> Self {
        let nginx = need::find("nginx").expect("nginx is here: `need` looked for it");
        let program = nginx.display().to_string();
        Self::new("nginx")
            .program(&nginx)
            .file("/etc/reveille/nginx.conf", CONFIGURATION)
            .folder("/var/log/nginx")
            .folder("/var/lib/nginx")
            .entrypoint(&[&program, "-e", "stderr", "-c", "/etc/reveille/nginx.conf"])
    }
}
