//! `make cluster`: a Kubernetes in the foreground with Reveille and an app that sleeps, for whoever wants to look around in
//! one. Everything of it ends with Ctrl-C.

use std::{
    fs,
    io::{self, Write as _},
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::ExitCode,
};

use reveille_tests_cluster::{
    Cluster, Image, Reveille, need, places, product, reveille, sandbox, secs, until_some,
};
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
        say("building reveille ...");
        if let Err(reason) = product::build() {
            return fail(&reason);
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
        say("installing Reveille by its chart, and the sample deploy/samples/nginx.yaml ...");
        let address = install(&cluster).await;
        let kubectl = enter_by(&cluster, &folder, &pid, "kubectl");
        enter_by(&cluster, &folder, &pid, "helm");
        let shell = enter_by(&cluster, &folder, &pid, "shell");
        say(&format!(
            "\nKubernetes was ready after {:.1} s. nginx, an app that sleeps, is at http://{address}/. From another \
             terminal:\n\n  \
             {kubectl} get scaledapps -w                # watch it sleep and wake\n  \
             {shell} curl -i http://{address}/     # wake it; any program runs in its network like this\n  \
             {kubectl} get pods -A\n  \
             {kubectl} -n {namespace} logs deployment/reveille-controller -f\n\n\
             kubeconfig: {}\nlogs: {}\nCtrl-C ends all of it.",
            cluster.took().as_secs_f64(),
            cluster.kubeconfig().display(),
            cluster.places().logs().display(),
            namespace = reveille::NAMESPACE,
        ));
        // The sandbox ends on it, and this with the sandbox.
        std::future::pending::<ExitCode>().await
    })
}

/// What the cluster has besides Kubernetes: Reveille, and an app that sleeps, whose address is returned.
async fn install(cluster: &Cluster) -> String {
    Reveille::install(cluster, &[]).await;
    let nginx = Image::nginx();
    cluster.image(&nginx).await;
    let sample = places::repository().join("deploy/samples/nginx.yaml");
    let sample = fs::read_to_string(sample).expect("the repository has it");
    // There is no registry.
    let image = format!("image: {}\n          imagePullPolicy: Never", nginx.name());
    let sample = sample.lines().map(|line| match line.split_once("image: ") {
        Some((indent, _)) => format!("{indent}{image}\n"),
        None => format!("{line}\n"),
    });
    cluster.kubectl(&["apply", "-f", "-"], &sample.collect::<String>()).await.ok();
    until_some("the sample's Service has an address", secs(10), async || {
        let address = ["get", "service", "nginx", "-o", "jsonpath={.spec.clusterIP}"];
        let address = cluster.kubectl(&address, "").await.stdout;
        (!address.is_empty()).then_some(address)
    })
    .await
}

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
