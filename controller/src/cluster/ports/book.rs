//! The book of listener ports: pure.
//!
//! Invariants (the property test below): no port stands for two ports of Services at a time, one that is in use never
//! changes, and one that was freed rests for [`REST`], so that nobody who still connects to it meets another app.

use std::{collections::BTreeMap, ops::RangeInclusive, time::Duration};

use jiff::Timestamp;
use serde::{Deserialize, Serialize, Serializer};

/// How long a freed port rests.
pub(super) const REST: Duration = Duration::from_secs(600);

/// The most ports that a range may have: when all of them are in use or rest, the book fits its ConfigMap.
pub const MOST: usize = 10_000;

/// Every port of the range is in use or rests.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("all ports from {first} to {last} are in use, or were a moment ago")]
pub(crate) struct Full {
    first: u16,
    last: u16,
}

/// Which port stands for what.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Book(BTreeMap<u16, Entry>);

/// What a port stands for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    /// The app, by the unique id of its `ScaledApp`: one that is deleted and made again is another.
    uid: String,
    service_port: u16,
    /// Since when it rests, if it does.
    #[serde(default, skip_serializing_if = "Option::is_none", serialize_with = "to_the_second")]
    freed: Option<Timestamp>,
}

/// In short, as there may be thousands.
#[expect(clippy::ref_option, reason = "serde calls it so")]
fn to_the_second<S: Serializer>(at: &Option<Timestamp>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("{:.0}", at.unwrap_or_default()))
}

impl Entry {
    fn rests(&self, now: Timestamp) -> bool {
        // A clock that went back keeps it resting, which is the safe side.
        self.freed.is_some_and(|freed| now < freed.saturating_add(REST).unwrap_or(Timestamp::MAX))
    }
}

impl Book {
    /// Reads the data of the ConfigMap. What cannot be read is left out: its port is then free, and its app gets another.
    pub(super) fn parse(data: &BTreeMap<String, String>) -> Self {
        let entry = |(port, entry): (&String, &String)| {
            let read = port.parse().ok().zip(serde_json::from_str(entry).ok());
            if read.is_none() {
                tracing::warn!(port, entry, "the book of ports has an entry that is none; it is left out");
            }
            read
        };
        Self(data.iter().filter_map(entry).collect())
    }

    /// The data of the ConfigMap.
    pub(super) fn print(&self) -> BTreeMap<String, String> {
        let json = |entry| serde_json::to_string(entry).expect("an entry is plain JSON");
        self.0.iter().map(|(port, entry)| (port.to_string(), json(entry))).collect()
    }

    /// The ports for these ports of an app's Service, if it has them and no others: then there is nothing to change.
    pub(super) fn given(
        &self,
        uid: &str,
        service_ports: &[u16],
        range: &RangeInclusive<u16>,
    ) -> Option<Vec<u16>> {
        let its: BTreeMap<u16, u16> = self
            .0
            .iter()
            .filter(|(_, entry)| entry.freed.is_none() && entry.uid == uid)
            .map(|(port, entry)| (entry.service_port, *port))
            .collect();
        let all = its.keys().all(|service_port| service_ports.contains(service_port));
        let given = service_ports.iter().map(|service_port| its.get(service_port).copied());
        given.collect::<Option<Vec<_>>>().filter(|given| all && given.iter().all(|port| range.contains(port)))
    }

    pub(super) fn allocate(
        &mut self,
        uid: &str,
        service_ports: &[u16],
        range: &RangeInclusive<u16>,
        now: Timestamp,
    ) -> Result<Vec<u16>, Full> {
        for entry in self.0.values_mut() {
            if entry.uid == uid && entry.freed.is_none() && !service_ports.contains(&entry.service_port) {
                entry.freed = Some(now);
            }
        }
        service_ports.iter().map(|service_port| self.one(uid, *service_port, range, now)).collect()
    }

    fn one(
        &mut self,
        uid: &str,
        service_port: u16,
        range: &RangeInclusive<u16>,
        now: Timestamp,
    ) -> Result<u16, Full> {
        let is_its = |entry: &Entry| entry.uid == uid && entry.service_port == service_port;
        // One that it had and that rests is its own again.
        let had = self.0.iter_mut().find(|(port, entry)| range.contains(port) && is_its(entry));
        if let Some((port, entry)) = had {
            entry.freed = None;
            return Ok(*port);
        }
        let is_free =
            |port: &u16| self.0.get(port).is_none_or(|entry| entry.freed.is_some() && !entry.rests(now));
        let full = || Full { first: *range.start(), last: *range.end() };
        let port = range.clone().find(is_free).ok_or_else(full)?;
        self.0.insert(port, Entry { uid: uid.to_owned(), service_port, freed: None });
        Ok(port)
    }

    /// An app's; and those that have rested go, or the book would outgrow its ConfigMap.
    pub(super) fn free(&mut self, uid: &str, now: Timestamp) {
        self.free_if(now, |entry| entry.uid == uid);
        self.0.retain(|_, entry| entry.freed.is_none() || entry.rests(now));
    }

    pub(super) fn keep_only(&mut self, uids: &[String], now: Timestamp) {
        self.free_if(now, |entry| !uids.contains(&entry.uid));
        self.0.retain(|_, entry| entry.freed.is_none() || entry.rests(now));
    }

    fn free_if(&mut self, now: Timestamp, which: impl Fn(&Entry) -> bool) {
        for entry in self.0.values_mut() {
            if entry.freed.is_none() && which(entry) {
                entry.freed = Some(now);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    const RANGE: RangeInclusive<u16> = 20_000..=20_005;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn a_port_stays_rests_and_is_printed_as_it_is_read() {
        let mut book = Book::default();
        assert_eq!(book.allocate("a", &[80, 81], &RANGE, at(0)), Ok(vec![20_000, 20_001]));
        assert_eq!(book.allocate("a", &[81, 80], &RANGE, at(1)), Ok(vec![20_001, 20_000]));
        assert_eq!(book.allocate("a", &[81], &RANGE, at(2)), Ok(vec![20_001]));
        assert_eq!(book.allocate("b", &[80], &RANGE, at(3)), Ok(vec![20_002]), "20000 rests");
        assert_eq!(Book::parse(&book.print()), book);
        assert_eq!(book.allocate("a", &[81, 80], &RANGE, at(4)), Ok(vec![20_001, 20_000]), "its own again");
        book.free("a", at(5));
        assert_eq!(book.allocate("c", &[80], &RANGE, at(604)), Ok(vec![20_003]));
        assert_eq!(book.allocate("d", &[80], &RANGE, at(605)), Ok(vec![20_000]));
    }

    #[test]
    fn a_full_range_says_so_and_a_changed_range_gives_new_ports() {
        let mut book = Book::default();
        let all: Vec<u16> = (1..=6).collect();
        book.allocate("a", &all, &RANGE, at(0)).unwrap();
        let full = book.allocate("b", &[80], &RANGE, at(0)).unwrap_err();
        assert_eq!(full.to_string(), "all ports from 20000 to 20005 are in use, or were a moment ago");
        assert_eq!(book.allocate("a", &[1], &(21_000..=21_001), at(1)), Ok(vec![21_000]));
        let broken = BTreeMap::from([("x".to_owned(), "{}".to_owned()), ("7".to_owned(), "{".to_owned())]);
        assert_eq!(Book::parse(&broken), Book::default());
    }

    #[test]
    fn the_largest_book_fits_a_config_map() {
        let (mut book, range) = (Book::default(), 55_000..=64_999);
        let now: Timestamp = "2026-11-25T21:40:07.123456789Z".parse().unwrap();
        assert_eq!(range.len(), MOST);
        for (nth, port) in range.enumerate() {
            let uid = format!("{nth:08}-1234-1234-1234-123456789012");
            book.0.insert(port, Entry { uid, service_port: 65_535, freed: Some(now) });
        }
        let bytes: usize = book.print().iter().map(|(port, entry)| port.len() + entry.len()).sum();
        assert!(bytes < (1 << 20) - 1024, "{bytes}");
        book.free("", now.saturating_add(REST).unwrap());
        assert_eq!(book, Book::default(), "what has rested goes");
    }

    #[test]
    fn what_was_given_is_found_without_a_change() {
        let mut book = Book::default();
        assert_eq!(book.given("a", &[80], &RANGE), None);
        book.allocate("a", &[80, 81], &RANGE, at(0)).unwrap();
        assert_eq!(book.given("a", &[81, 80], &RANGE), Some(vec![20_001, 20_000]));
        assert_eq!(book.given("a", &[80], &RANGE), None, "one is to be freed");
        assert_eq!(book.given("a", &[80, 81], &(20_001..=20_005)), None, "the range is another one");
        book.free("a", at(1));
        assert_eq!(book.given("a", &[80, 81], &RANGE), None);
    }

    #[derive(Clone, Debug)]
    enum Act {
        Allocate(u8, Vec<u16>),
        Free(u8),
        KeepOnly(Vec<u8>),
        Wait(i64),
    }

    fn act() -> impl Strategy<Value = Act> {
        prop_oneof![
            4 => (0u8..4, prop::collection::vec(1u16..4, 1..3)).prop_map(|(app, mut ports)| {
                ports.sort_unstable();
                ports.dedup();
                Act::Allocate(app, ports)
            }),
            1 => (0u8..4).prop_map(Act::Free),
            1 => prop::collection::vec(0u8..4, 0..4).prop_map(Act::KeepOnly),
            2 => (1i64..700).prop_map(Act::Wait),
        ]
    }

    proptest! {
        /// The invariants of the module's head.
        #[test]
        fn no_port_twice_none_moved_none_reused_too_soon(acts in prop::collection::vec(act(), 1..60)) {
            let (mut book, mut now) = (Book::default(), 0);
            let mut in_use: HashMap<(String, u16), u16> = HashMap::new();
            let mut freed: HashMap<u16, ((String, u16), i64)> = HashMap::new();
            for act in acts {
                let mut release = |gone: &dyn Fn(&(String, u16)) -> bool, in_use: &mut HashMap<(String, u16), u16>| {
                    in_use.retain(|key, port| {
                        if gone(key) {
                            freed.insert(*port, (key.clone(), now));
                        }
                        !gone(key)
                    });
                };
                match act {
                    Act::Wait(seconds) => now += seconds,
                    Act::Free(app) => {
                        book.free(&app.to_string(), at(now));
                        release(&|key| key.0 == app.to_string(), &mut in_use);
                    }
                    Act::KeepOnly(apps) => {
                        let uids: Vec<_> = apps.iter().map(u8::to_string).collect();
                        book.keep_only(&uids, at(now));
                        release(&|key| !uids.contains(&key.0), &mut in_use);
                    }
                    Act::Allocate(app, wanted) => {
                        let uid = app.to_string();
                        let given = book.allocate(&uid, &wanted, &RANGE, at(now));
                        release(&|key| key.0 == uid && !wanted.contains(&key.1), &mut in_use);
                        let Ok(given) = given else { continue };
                        for (service_port, port) in wanted.iter().zip(given) {
                            let key = (uid.clone(), *service_port);
                            prop_assert!(RANGE.contains(&port));
                            if let Some(had) = in_use.get(&key) {
                                prop_assert_eq!(*had, port, "it moved");
                            } else {
                                prop_assert!(!in_use.values().any(|other| *other == port), "twice");
                                if let Some((of, since)) = freed.get(&port) {
                                    prop_assert!(*of == key || now - since >= 600, "too soon");
                                }
                            }
                            freed.remove(&port);
                            in_use.insert(key, port);
                        }
                    }
                }
                book = Book::parse(&book.print());
            }
        }
    }
}
