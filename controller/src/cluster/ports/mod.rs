//! Listener ports: each port of each app's Service has one on every activator, by which it is known.
//!
//! [`book`] is the pure part. Here it is kept in one ConfigMap, written by compare-and-set, so that two controllers never
//! give the same port to two apps.

mod book;

use std::{collections::BTreeMap, ops::RangeInclusive};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{
    Api, Client,
    api::{ObjectMeta, PostParams},
};
use reveille_core::resource::names;
use tokio::sync::Mutex;

use self::book::Book;
pub(crate) use self::book::Full;
pub use self::book::MOST;

/// How often a write is tried against others'.
const TRIES: usize = 5;

/// The ports of all apps.
pub(crate) struct Ports {
    api: Api<ConfigMap>,
    name: String,
    range: RangeInclusive<u16>,
    /// The book as it was read or written last. The lock is held across the write: apps wait for each other instead of
    /// conflicting.
    known: Mutex<Option<Kept>>,
}

struct Kept {
    book: Book,
    /// The version of the ConfigMap; none if there is none yet.
    version: Option<String>,
}

/// Why there are no ports.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PortsError {
    /// None is left.
    #[error(transparent)]
    Full(#[from] Full),
    /// The ConfigMap cannot be read or written.
    #[error("the book of ports cannot be kept: {0}")]
    Api(#[from] kube::Error),
    /// Too many writers.
    #[error("the book of ports is written by others all the time")]
    Contested,
}

impl Ports {
    pub(crate) fn new(client: Client, namespace: &str, name: &str, range: RangeInclusive<u16>) -> Self {
        Self {
            api: Api::namespaced(client, namespace),
            name: name.to_owned(),
            range,
            known: Mutex::new(None),
        }
    }

    /// The ports for these ports of an app's Service, in their order. Those that it had before it keeps; those for other
    /// ports of it are freed.
    pub(crate) async fn allocate(&self, uid: &str, service_ports: &[u16]) -> Result<Vec<u16>, PortsError> {
        if let Some(kept) = &*self.known.lock().await
            && let Some(given) = kept.book.given(uid, service_ports, &self.range)
        {
            return Ok(given);
        }
        self.change(|book| book.allocate(uid, service_ports, &self.range, Timestamp::now())).await
    }

    /// Frees an app's ports.
    pub(crate) async fn free(&self, uid: &str) -> Result<(), PortsError> {
        self.change(|book| {
            book.free(uid, Timestamp::now());
            Ok(())
        })
        .await
    }

    /// Frees the ports of all apps but these: of those that went while nobody looked.
    pub(crate) async fn keep_only(&self, uids: &[String]) -> Result<(), PortsError> {
        self.change(|book| {
            book.keep_only(uids, Timestamp::now());
            Ok(())
        })
        .await
    }

    async fn change<T>(&self, mut change: impl FnMut(&mut Book) -> Result<T, Full>) -> Result<T, PortsError> {
        let mut known = self.known.lock().await;
        for _ in 0..TRIES {
            // Taken, so that a write whose outcome is not known is followed by a read.
            let kept = match known.take() {
                Some(kept) => kept,
                None => self.read().await?,
            };
            let mut book = kept.book.clone();
            let outcome = change(&mut book);
            if outcome.is_err() || book == kept.book {
                *known = Some(kept);
                return Ok(outcome?);
            }
            match self.write(&book, kept.version.as_deref()).await {
                Ok(version) => {
                    *known = Some(Kept { book, version });
                    return Ok(outcome?);
                }
                Err(kube::Error::Api(status)) if status.is_conflict() || status.is_already_exists() => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(PortsError::Contested)
    }

    async fn read(&self) -> Result<Kept, kube::Error> {
        let Some(map) = self.api.get_opt(&self.name).await? else {
            return Ok(Kept { book: Book::default(), version: None });
        };
        Ok(Kept { book: Book::parse(&map.data.unwrap_or_default()), version: map.metadata.resource_version })
    }

    async fn write(&self, book: &Book, version: Option<&str>) -> Result<Option<String>, kube::Error> {
        let params =
            PostParams { field_manager: Some(names::CONTROLLER.to_owned()), ..PostParams::default() };
        let labels = [("app.kubernetes.io/managed-by".to_owned(), names::MANAGED_BY.to_owned())];
        let map = ConfigMap {
            metadata: ObjectMeta {
                name: Some(self.name.clone()),
                resource_version: version.map(str::to_owned),
                labels: Some(BTreeMap::from(labels)),
                ..ObjectMeta::default()
            },
            data: Some(book.print()),
            ..ConfigMap::default()
        };
        let written = match version {
            Some(_) => self.api.replace(&self.name, &params, &map).await?,
            None => self.api.create(&params, &map).await?,
        };
        Ok(written.metadata.resource_version)
    }
}
