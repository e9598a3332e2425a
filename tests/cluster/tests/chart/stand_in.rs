//! What the chart starts in place of the planes: it reads what it was given, and answers the probes. It ends at once, with the
//! reason in its log, if the chart did not keep its word.

use reveille_tests_cluster::{Image, Namespace, need, reveille::chart};

const SCRIPT: &str = r#"
set -eu
fail() { echo "stand-in: $*"; exit 1; }
for word in "$@"; do
    case $word in
        --control-cert=* | --control-key=* | --control-ca=* | --control-token=*)
            [ -s "${word#*=}" ] && [ -r "${word#*=}" ] || fail "cannot read ${word#*=}" ;;
        --give-back-all) echo "stand-in: gave all back"; exit ;;
    esac
done
if (: >/written) 2>/dev/null; then fail "the root can be written"; fi
exec nginx -e stderr -c /etc/stand-in/nginx.conf
"#;

const CONFIGURATION: &str = "
daemon off;
worker_processes 1;
pid /dev/shm/nginx.pid;
error_log stderr warn;
events {}
http {
    access_log off;
    client_body_temp_path /dev/shm/client_body;
    proxy_temp_path /dev/shm/proxy;
    fastcgi_temp_path /dev/shm/fastcgi;
    uwsgi_temp_path /dev/shm/uwsgi;
    scgi_temp_path /dev/shm/scgi;
    server { listen 9090; location / { return 200; } }
}
";

/// The image.
fn image() -> Image {
    let nginx = need::find("nginx").expect("nginx is here: `need` looked for it");
    Image::new("reveille-stand-in")
        .program_as(nginx, "/usr/sbin/nginx")
        .program("/bin/sh")
        .file("/etc/stand-in/nginx.conf", CONFIGURATION)
        .file("/etc/stand-in/start.sh", SCRIPT)
        .entrypoint(&["/bin/sh", "/etc/stand-in/start.sh"])
}

/// Installs the chart with it, and returns when all pods are ready.
pub(super) async fn install(namespace: &Namespace, release: &str, arguments: &[&str]) {
    let cluster = namespace.cluster();
    cluster.image(&image()).await;
    cluster.helm_install(namespace.name(), release, &chart(), &[ARGUMENTS, arguments].concat()).await;
}

/// Changes it, and returns when all pods are ready.
pub(super) async fn upgrade(namespace: &Namespace, release: &str, arguments: &[&str]) {
    let arguments = [ARGUMENTS, arguments].concat();
    namespace.cluster().helm_upgrade(namespace.name(), release, &chart(), &arguments).await;
}

const ARGUMENTS: &[&str] = &[
    "--set-string=image.repository=reveille.test/reveille-stand-in,image.tag=1,image.pullPolicy=Never",
    "--set=activator.minReadySeconds=0",
    "--timeout=50s",
];
