//! Who may do what: one administrator by a token, everybody else by impersonation, which the API server authorizes as
//! if that user had come. So kubelets meet the Node authorizer, and the planes of Kubernetes and ServiceAccounts meet
//! RBAC, as they do elsewhere.

use std::{fs, path::PathBuf};

use kube::{Client, Config};
use serde_json::{Value, json};

use crate::{
    places::Places,
    process::{command, run},
};

/// The address of the API server, which is that of the first node.
const API_SERVER: &str = "https://10.200.0.1:6443";
/// Good in the sandbox alone, which nothing outside can reach.
const ADMIN_TOKEN: &str = "administrator-of-this-sandbox";

/// Somebody who is not the administrator.
#[derive(Clone, Copy, Debug)]
pub struct User<'a> {
    /// Such as `system:node:gpu1`.
    pub name: &'a str,
    /// Such as `system:nodes`.
    pub groups: &'a [&'a str],
}

impl User<'_> {
    /// One that the rules of every cluster know, such as the scheduler.
    pub(crate) const fn component(name: &str) -> User<'_> {
        User { name, groups: &[] }
    }
}

/// The keys and the tokens of one cluster.
#[derive(Debug)]
pub(crate) struct Credentials {
    folder: PathBuf,
    kubeconfigs: PathBuf,
}

impl Credentials {
    /// Makes them. The certificate of the API server is not among them: it makes that itself.
    pub(crate) async fn make(places: &Places) -> Self {
        let folder = places.state("credentials");
        // Beside the logs, for whoever speaks to the cluster from outside of the sandbox.
        let kubeconfigs = places.logs().join("kubeconfig");
        for folder in [&folder, &kubeconfigs] {
            fs::create_dir_all(folder).expect("the cluster's folders can be written");
        }
        let this = Self { folder, kubeconfigs };
        let tokens = format!("{ADMIN_TOKEN},administrator,administrator,\"system:masters\"\n");
        fs::write(this.tokens(), tokens).expect("the cluster's folders can be written");
        let key = this.service_account_key();
        let ecparam = ["ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out"];
        let mut openssl = command("openssl", ecparam);
        openssl.arg(&key);
        run(openssl).await.ok();
        this
    }

    /// The file for `--token-auth-file`.
    pub(crate) fn tokens(&self) -> PathBuf {
        self.folder.join("tokens.csv")
    }

    /// What the tokens of ServiceAccounts are signed with.
    pub(crate) fn service_account_key(&self) -> PathBuf {
        self.folder.join("service-accounts.key")
    }

    /// Where the API server keeps its certificate: the same one when it starts again.
    pub(crate) fn certificates(&self) -> PathBuf {
        self.kubeconfigs.join("certificates")
    }

    /// What its certificate is verified with, once [`Self::find_authority`] found it.
    pub(crate) fn authority(&self) -> PathBuf {
        self.kubeconfigs.join("authority.crt")
    }

    /// Looks whether the API server has made its certificate yet. Its file ends with that of the authority which signed
    /// it, and nothing else may be given to those that verify it.
    pub(crate) fn find_authority(&self) -> bool {
        const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
        const END: &str = "-----END CERTIFICATE-----";
        let text = fs::read_to_string(self.certificates().join("apiserver.crt")).unwrap_or_default();
        let mut certificates =
            text.split_inclusive(END).map(str::trim_start).filter(|part| part.ends_with(END));
        let (Some(_server), Some(authority)) = (certificates.next(), certificates.next()) else {
            return false;
        };
        debug_assert!(authority.starts_with(BEGIN), "{authority}");
        fs::write(self.authority(), format!("{authority}\n")).expect("the cluster's folders can be written");
        true
    }

    /// Writes a kubeconfig of the administrator, or of somebody else.
    pub(crate) fn kubeconfig(&self, file: &str, user: Option<User>) -> PathBuf {
        let mut who = json!({ "token": ADMIN_TOKEN });
        if let Some(user) = user {
            who["as"] = user.name.into();
            who["as-groups"] = user.groups.iter().copied().map(Value::from).collect();
        }
        let config = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "sandbox",
            "contexts": [{ "name": "sandbox", "context": { "cluster": "sandbox", "user": "sandbox" } }],
            "users": [{ "name": "sandbox", "user": who }],
            "clusters": [{
                "name": "sandbox",
                "cluster": { "server": API_SERVER, "certificate-authority": self.authority() },
            }],
        });
        // Programs that were given it before may be reading it.
        let (path, new) = (self.kubeconfigs.join(file), self.kubeconfigs.join(format!("{file}.new")));
        let text = config.to_string();
        if !fs::read_to_string(&path).is_ok_and(|known| known == text) {
            fs::write(&new, text)
                .and_then(|()| fs::rename(&new, &path))
                .expect("the cluster's folders can be written");
        }
        path
    }

    /// A client of the administrator, or of somebody else.
    pub(crate) async fn client(&self, user: Option<User<'_>>) -> Client {
        let mut config = self.config().await;
        config.auth_info.token = Some(ADMIN_TOKEN.to_owned().into());
        if let Some(user) = user {
            config.auth_info.impersonate = Some(user.name.to_owned());
            config.auth_info.impersonate_groups = Some(user.groups.iter().map(ToString::to_string).collect());
        }
        Client::try_from(config).expect("the configuration is complete")
    }

    /// A client with a token, such as a ServiceAccount's.
    pub(crate) async fn client_with_token(&self, token: String) -> Client {
        let mut config = self.config().await;
        config.auth_info.token = Some(token.into());
        Client::try_from(config).expect("the configuration is complete")
    }

    /// Without anybody in it.
    async fn config(&self) -> Config {
        let file = self.kubeconfig("server", None);
        let file = kube::config::Kubeconfig::read_from(file).expect("what was just written can be read");
        let config = Config::from_custom_kubeconfig(file, &Default::default()).await;
        let mut config = config.expect("the kubeconfig is complete");
        config.auth_info = Default::default();
        // A test sees what the API server answers, and when.
        config.default_retry = false;
        config
    }
}
