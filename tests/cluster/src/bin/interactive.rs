//! `make cluster`: a Kubernetes in the foreground, for whoever wants to look around in one. Everything of it ends with
//! Ctrl-C.

use std::{
    fs,
    io::{self, Write as _},
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::ExitCode,
};

use reveille_tests_cluster::{Cluster, need, places, sandbox};
use tokio::task::LocalSet;

/// Its folder in `target/cluster`.
const NAME: &str = "live";

fn main() -> ExitCode {
    let folder = places::left_behind();
    let pid = folder.join(format!("{NAME}.pid"));
    if !sandbox::is_inside() {
        if let Some(reason) = need::missing() {
            return fail(&reason);
        }
        if !places::is_free(NAME) {
            return fail("it runs already; Ctrl-C ends it where it was started");
        }
        return fail(&format!("the sandbox does not start: {}", sandbox::enter(Some(&pid))));
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&format!("threads cannot be started: {error}")),
    };
    LocalSet::new().block_on(&runtime, async {
        say("starting Kubernetes ...");
        let cluster = Cluster::start(NAME).await;
        install(&cluster).await;
        let kubectl = enter_by(&cluster, &folder, &pid, "kubectl");
        enter_by(&cluster, &folder, &pid, "helm");
        let shell = enter_by(&cluster, &folder, &pid, "shell");
        say(&format!(
            "\nKubernetes is ready after {:.1} s. From another terminal:\n\n  \
             {kubectl} get pods -A\n  \
             {shell} curl -k https://10.200.0.1:6443/version   # any program in its network\n\n\
             kubeconfig: {}\nlogs: {}\nCtrl-C ends all of it.",
            cluster.took().as_secs_f64(),
            cluster.kubeconfig().display(),
            cluster.places().logs().display(),
        ));
        // The sandbox ends on it, and this with the sandbox.
        std::future::pending::<ExitCode>().await
    })
}

/// What the cluster has besides Kubernetes: Reveille and an app that sleeps, once there is a chart of it.
async fn install(_cluster: &Cluster) {}

/// Writes a script that runs a program inside, and returns how to call it from here.
fn enter_by(cluster: &Cluster, folder: &Path, pid: &Path, name: &str) -> String {
    let program = match name {
        "shell" => r#""${@:-bash}""#.to_owned(),
        program => format!("'{}' \"$@\"", cluster.places().program(program).display()),
    };
    let homes = cluster.homes().map(|(name, folder)| format!(" {name}='{}'", folder.display())).concat();
    let text = format!(
        "#!/usr/bin/env bash\n\
         # {name}, in the sandbox of `make cluster`.\n\
         export KUBECONFIG='{}'{homes}\n\
         exec nsenter --target \"$(cat '{}')\" --net --mount -- {program}\n",
        cluster.kubeconfig().display(),
        pid.display(),
    );
    let script = folder.join(name);
    fs::write(&script, text).expect("target/cluster can be written");
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).expect("one's own file can be changed");
    script.strip_prefix(places::repository()).unwrap_or(&script).display().to_string()
}

fn say(text: &str) {
    let _ = writeln!(io::stdout(), "{text}"); // whoever closed it does not want to read it
}

fn fail(reason: &str) -> ExitCode {
    let _ = writeln!(io::stderr(), "error: {reason}");
    ExitCode::FAILURE
}
