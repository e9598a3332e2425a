//! Pods: what they are made of in tests, and being a client in one.

use std::{path::PathBuf, time::Duration};

use k8s_openapi::api::core::v1 as core;

use crate::{
    load::{Load, Plan},
    process::{Output, command, run},
};

/// The network of a pod, as its processes see it: its address, its routes, and the rules for Services.
#[derive(Clone, Debug)]
pub struct Network(PathBuf);

impl Network {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self(path)
    }

    /// Runs a program of this machine in it.
    pub async fn run(&self, program: &str, arguments: &[&str]) -> Output {
        let mut nsenter = command("nsenter", [format!("--net={}", self.0.display())]);
        nsenter.arg("--").arg(program).args(arguments);
        run(nsenter).await
    }

    /// Clients that send requests from it until they are told to stop.
    pub fn load(&self, plan: &Plan) -> Load {
        Load::start(&self.0, plan)
    }

    /// As many requests at once as the plan has clients, one each.
    pub fn at_once(&self, plan: &Plan) -> Load {
        Load::once(&self.0, plan)
    }

    /// Gets a URL, once, on a connection of its own, with that much patience.
    pub async fn get(&self, url: &str, patience: Duration) -> Result<Answer, String> {
        let patience = format!("{:.3}", patience.as_secs_f64());
        let arguments = ["-sS", "--max-time", &patience, "-w", "\n%{http_code} %{remote_ip}", url];
        let output = self.run("curl", &arguments).await;
        if !output.status.success() {
            return Err(output.stderr.trim().to_owned());
        }
        let (body, rest) = output.stdout.rsplit_once('\n').expect("curl writes what -w says");
        let (status, _) = rest.split_once(' ').expect("curl writes what -w says");
        Ok(Answer { status: status.parse().expect("curl writes a number"), body: body.to_owned() })
    }
}

/// What a server answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Such as 200.
    pub status: u16,
    /// Without the header.
    pub body: String,
}

/// Whether a condition of a pod is true.
pub fn has_condition(pod: &core::Pod, name: &str) -> bool {
    let conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
    conditions.into_iter().any(|condition| condition.type_ == name && condition.status == "True")
}

/// Whether a pod takes traffic.
pub fn is_ready(pod: &core::Pod) -> bool {
    has_condition(pod, "Ready") && pod.metadata.deletion_timestamp.is_none()
}
