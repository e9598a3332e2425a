//! The certificate of the control port: read from files, and read again when they change, as those of a mounted Secret do
//! when it is renewed.

use std::{io, path::PathBuf, sync::Arc, time::Duration};

use tokio::sync::watch;
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        crypto::ring,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    },
};

/// How often the files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// Where the certificate and its key are, in PEM.
#[derive(Clone, Debug)]
pub struct CertFiles {
    /// The certificate, and those that vouch for it.
    pub cert: PathBuf,
    /// Its key.
    pub key: PathBuf,
}

impl CertFiles {
    /// What is in them.
    fn contents(&self) -> Result<(Vec<u8>, Vec<u8>), String> {
        let read = |path: &PathBuf| {
            std::fs::read(path).map_err(|error| format!("{} cannot be read: {error}", path.display()))
        };
        Ok((read(&self.cert)?, read(&self.key)?))
    }

    /// # Errors
    /// If a file cannot be read, or the two are no certificate and its key.
    pub fn check(&self) -> Result<(), String> {
        self.contents().and_then(|contents| self.acceptor(&contents)).map(drop)
    }

    fn acceptor(&self, (cert, key): &(Vec<u8>, Vec<u8>)) -> Result<TlsAcceptor, String> {
        let (cert_at, key_at) = (self.cert.display(), self.key.display());
        let certs: Vec<_> = CertificateDer::pem_slice_iter(cert)
            .collect::<Result<_, _>>()
            .map_err(|error| format!("{cert_at} is no certificate in PEM: {error}"))?;
        if certs.is_empty() {
            return Err(format!("{cert_at} holds no certificate in PEM"));
        }
        let key = PrivateKeyDer::from_pem_slice(key)
            .map_err(|error| format!("{key_at} is no private key in PEM: {error}"))?;
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .and_then(|builder| builder.with_no_client_auth().with_single_cert(certs, key));
        let mut config = config.map_err(|error| {
            format!("the key of {key_at} cannot serve the certificate of {cert_at}: {error}")
        })?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(TlsAcceptor::from(Arc::new(config)))
    }
}

/// Reads the files, and goes on reading them when they change, for as long as somebody holds what is returned.
///
/// # Errors
/// If they are of no use at the start.
pub(crate) fn watched(files: CertFiles) -> io::Result<watch::Receiver<TlsAcceptor>> {
    let mut known = files.contents().map_err(io::Error::other)?;
    let (sender, receiver) = watch::channel(files.acceptor(&known).map_err(io::Error::other)?);
    tokio::spawn(async move {
        let mut said = None;
        while !sender.is_closed() {
            tokio::time::sleep(LOOK_EVERY).await;
            // Two small files, from memory: no reason for a thread.
            let read = files.contents().and_then(|contents| {
                if contents == known {
                    return Ok(None);
                }
                let acceptor = files.acceptor(&contents)?;
                known = contents;
                Ok(Some(acceptor))
            });
            match read {
                Ok(None) => said = None,
                Ok(Some(acceptor)) => {
                    said = None;
                    tracing::info!(cert = %files.cert.display(), "the control port has a new certificate");
                    sender.send_replace(acceptor);
                }
                Err(why) => {
                    if said.as_ref() != Some(&why) {
                        tracing::error!(
                            why,
                            "the control port keeps its certificate; the controller may refuse it soon"
                        );
                        said = Some(why);
                    }
                }
            }
        }
    });
    Ok(receiver)
}
