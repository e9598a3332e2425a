//! The ports on which an app's process listens: fixed ones, chosen ones, and the variables that name them.

use std::{
    collections::HashSet,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use reveille_core::wake::FailureKind;

use super::Runner;
use crate::local::config::{LocalApp, LocalPort};

/// The ports that no app may be given: those of the configuration, and those given to other apps.
#[derive(Debug, Default)]
pub(crate) struct PortBook {
    /// A plain lock: it is held while a port is looked for (some system calls), never over an await.
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    configured: HashSet<u16>,
    chosen: HashSet<u16>,
}

impl PortBook {
    /// Takes note of a whole new configuration.
    pub(crate) fn configure<'a>(&self, apps: impl Iterator<Item = &'a LocalApp>) {
        let ports = apps.flat_map(|app| &app.ports);
        let numbers =
            ports.flat_map(|port| [Some(port.listen.port()), port.upstream.map(|addr| addr.port())]);
        self.lock().configured = numbers.flatten().collect();
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where one run of an app listens. Dropping it gives the chosen ports back.
#[derive(Debug)]
pub(crate) struct Claim {
    book: Arc<PortBook>,
    chosen: Vec<u16>,
    /// One for each of the app's ports.
    pub(crate) addresses: Arc<[SocketAddr]>,
}

impl Claim {
    /// Checks the fixed ports and chooses the others.
    pub(crate) fn new(
        book: &Arc<PortBook>,
        ports: &[LocalPort],
        runner: &impl Runner,
    ) -> Result<Self, (FailureKind, String)> {
        let mut claim = Self { book: Arc::clone(book), chosen: Vec::new(), addresses: Arc::new([]) };
        let mut addresses = Vec::with_capacity(ports.len());
        for port in ports {
            addresses.push(match port.upstream {
                Some(address) => {
                    runner.check_free(address).map_err(|who| (FailureKind::PortTaken, who))?;
                    address
                }
                None => {
                    let mut taken = book.lock();
                    let all = taken.configured.union(&taken.chosen).copied().collect();
                    let number = runner.choose(&all).map_err(|error| {
                        (FailureKind::CannotStart, format!("no port could be chosen for it: {error}"))
                    })?;
                    taken.chosen.insert(number);
                    claim.chosen.push(number);
                    SocketAddr::from((Ipv4Addr::LOCALHOST, number))
                }
            });
        }
        claim.addresses = addresses.into();
        Ok(claim)
    }

    /// Those that Reveille chose.
    pub(crate) fn chosen(&self) -> impl Iterator<Item = SocketAddr> {
        self.chosen.iter().map(|number| SocketAddr::from((Ipv4Addr::LOCALHOST, *number)))
    }

    /// `PORT` for the first port, `PORT_<NAME>` for each that has a name, `PORT_<index>` for the others.
    pub(crate) fn env(&self, ports: &[LocalPort]) -> Vec<(String, String)> {
        let mut env = Vec::new();
        for (index, (port, address)) in ports.iter().zip(&*self.addresses).enumerate() {
            let number = address.port().to_string();
            if index == 0 {
                env.push(("PORT".to_owned(), number.clone()));
            }
            match &port.name {
                Some(name) => {
                    env.push((format!("PORT_{}", name.to_ascii_uppercase().replace('-', "_")), number));
                }
                None if index > 0 => env.push((format!("PORT_{index}"), number)),
                None => {}
            }
        }
        env
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let mut taken = self.book.lock();
        for number in &self.chosen {
            taken.chosen.remove(number);
        }
    }
}
