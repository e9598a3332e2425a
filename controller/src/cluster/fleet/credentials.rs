//! What the control ports are trusted by, and what they are shown: an authority's certificates, and a token. Both are files
//! that something else renews, so they are read again now and then.

use std::{io, path::PathBuf, sync::Arc, time::Duration};

use http::HeaderValue;
use http_body_util::Full;
use hyper::body::Bytes;
use hyper_rustls::{FixedServerNameResolver, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{self, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use reveille_core::control::SERVER_NAME;
use tokio::{sync::Mutex, time::Instant};
use tokio_rustls::rustls::{
    self, ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};

/// How long what was read is gone by: the kubelet renews a token when a fifth of its time is left, minutes at least.
const FRESH_FOR: Duration = Duration::from_secs(30);

/// How long an idle connection is kept: shorter than the other side keeps it, or requests would break on it.
const KEEP_IDLE: Duration = Duration::from_secs(5);

/// A client of the control ports.
pub(super) type HttpsClient = legacy::Client<HttpsConnector<HttpConnector>, Full<Bytes>>;

/// What the control ports are trusted by, and what they are shown.
pub struct Credentials {
    ca: PathBuf,
    token: PathBuf,
    /// As last read. Held while reading, as all who ask need the same.
    read: Mutex<Option<Read>>,
}

struct Read {
    at: Instant,
    ca: Vec<u8>,
    current: Current,
}

/// What to ask with.
#[derive(Clone)]
pub(super) struct Current {
    pub(super) client: HttpsClient,
    pub(super) authorization: HeaderValue,
}

/// The credentials cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    /// A file cannot be read.
    #[error("{path} cannot be read: {error}")]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// The file of the authority holds no certificate.
    #[error("{path} holds no certificate in PEM that can be used: {why}")]
    NoAuthority {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// The file of the token does not hold one.
    #[error("{0} holds no token")]
    NoToken(PathBuf),
}

impl Credentials {
    /// Certificates of the authority in PEM, and a bearer token alone in a file.
    pub fn new(ca: PathBuf, token: PathBuf) -> Self {
        Self { ca, token, read: Mutex::default() }
    }

    /// Tries both files, to say early that one is wrong.
    ///
    /// # Errors
    /// What is wrong with them.
    pub async fn check(&self) -> Result<(), CredentialsError> {
        self.current().await.map(|_| ())
    }

    /// What to ask with now.
    pub(super) async fn current(&self) -> Result<Current, CredentialsError> {
        let mut read = self.read.lock().await;
        if let Some(read) = read.as_ref().filter(|read| read.at.elapsed() < FRESH_FOR) {
            return Ok(read.current.clone());
        }
        // What was read stays until there is more: whoever asks may leave in the middle.
        match (self.read_again(read.as_ref()).await, read.as_ref()) {
            (Ok(new), _) => Ok(read.insert(new).current.clone()),
            (Err(error), Some(old)) => {
                // A token may be good still, and the file back in a moment.
                tracing::warn!(%error, "credentials for the activators are not renewed");
                Ok(old.current.clone())
            }
            (Err(error), None) => Err(error),
        }
    }

    /// They were refused: the next request reads them again.
    pub(super) async fn doubt(&self) {
        *self.read.lock().await = None;
    }

    async fn read_again(&self, old: Option<&Read>) -> Result<Read, CredentialsError> {
        let (ca, token) = (contents(&self.ca).await?, contents(&self.token).await?);
        let authorization = bearer(&token).ok_or_else(|| CredentialsError::NoToken(self.token.clone()))?;
        let at = Instant::now();
        // The client keeps its connections as long as it trusts the same.
        if let Some(old) = old.filter(|old| old.ca == ca) {
            let current = Current { client: old.current.client.clone(), authorization };
            return Ok(Read { at, ca, current });
        }
        match client(&ca) {
            Ok(client) => Ok(Read { at, ca, current: Current { client, authorization } }),
            Err(why) => Err(CredentialsError::NoAuthority { path: self.ca.clone(), why }),
        }
    }
}

async fn contents(path: &PathBuf) -> Result<Vec<u8>, CredentialsError> {
    let unreadable = |error| CredentialsError::Unreadable { path: path.clone(), error };
    tokio::fs::read(path).await.map_err(unreadable)
}

fn bearer(token: &[u8]) -> Option<HeaderValue> {
    let token = std::str::from_utf8(token).ok()?.trim();
    let mut value = HeaderValue::from_str(&format!("Bearer {token}")).ok().filter(|_| !token.is_empty())?;
    value.set_sensitive(true);
    Some(value)
}

fn client(ca: &[u8]) -> Result<HttpsClient, String> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(ca) {
        let certificate = certificate.map_err(|error| error.to_string())?;
        roots.add(certificate).map_err(|error| error.to_string())?;
    }
    if roots.is_empty() {
        return Err("there is none in it".to_owned());
    }
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error: rustls::Error| error.to_string())?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from(SERVER_NAME).expect("it is a DNS name");
    let connector = HttpsConnectorBuilder::new()
        .with_tls_config(config)
        .https_only()
        .with_server_name_resolver(FixedServerNameResolver::new(name))
        .enable_http1()
        .build();
    let client = legacy::Client::builder(TokioExecutor::new())
        .pool_idle_timeout(KEEP_IDLE)
        .pool_timer(TokioTimer::new())
        .build(connector);
    Ok(client)
}
