//! No address twice: neither where Reveille listens nor where apps do.

use std::{collections::HashMap, net::SocketAddr};

use super::super::{Bind, address::conflict, document::Document, path::FieldPath, problem::Place};

/// Who uses an address.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum User {
    /// Reveille, to listen.
    Reveille,
    /// An app.
    App,
}

struct Use {
    user: User,
    /// As the document counts now, and as the file does.
    field: FieldPath,
    written: FieldPath,
    /// None for a default.
    place: Option<Place>,
    address: SocketAddr,
}

/// Every address that the file uses.
pub(super) struct Addresses(Vec<Use>);

impl Addresses {
    pub(super) fn new(
        doc: &Document,
        admin_is_written: bool,
        admin: SocketAddr,
        gateway: Option<SocketAddr>,
    ) -> Self {
        let root = FieldPath::default();
        let mut addresses = Self(Vec::new());
        addresses.add(doc, User::Reveille, root.key("admin"), admin);
        if !admin_is_written {
            addresses.0[0].place = None;
        }
        if let Some(gateway) = gateway {
            addresses.add(doc, User::Reveille, root.key("gateway"), gateway);
        }
        addresses
    }

    pub(super) fn add(&mut self, doc: &Document, user: User, field: FieldPath, address: SocketAddr) {
        let (written, place) = doc.locate(&field);
        self.0.push(Use { user, field, written, place: Some(place), address });
    }

    /// Reports each address that an earlier line uses already, and returns those to listen on.
    pub(super) fn finish(mut self, doc: &mut Document) -> Vec<Bind> {
        self.0.sort_by_key(|used| used.place);
        let mut by_port: HashMap<u16, Vec<&Use>> = HashMap::new();
        for used in &self.0 {
            let earlier = by_port.entry(used.address.port()).or_default();
            match earlier.iter().find(|first| conflict(first.address, used.address)) {
                Some(first) => doc.report(&used.field, used.taken(first)),
                None => earlier.push(used),
            }
        }
        let listens = self.0.iter().filter(|used| used.user == User::Reveille);
        listens
            .map(|used| Bind { field: used.written.to_string(), place: used.place, address: used.address })
            .collect()
    }
}

impl Use {
    fn taken(&self, first: &Self) -> String {
        let by = match first.place {
            Some(place) => format!("{} (line {})", first.written, place.line),
            None => format!("{}, which is {} unless set", first.written, first.address),
        };
        let covered = match self.address == first.address {
            true => String::new(),
            false if first.place.is_none() => String::new(),
            false => format!(" as {}", first.address),
        };
        format!("{} is already used by {by}{covered}", self.address)
    }
}
