//! Who has which host: of the apps that claim one, the oldest keeps it, in every activator alike.

use std::collections::{BTreeSet, HashMap};

use reveille_core::app::AppId;

use super::object::Age;

/// See the [module](self).
#[derive(Debug, Default)]
pub(crate) struct Hosts {
    /// Who claims a host, the oldest first.
    claims: HashMap<String, BTreeSet<(Age, AppId)>>,
}

impl Hosts {
    /// An app changed the hosts that it claims. Returns the other apps that get or lose one by it.
    pub(crate) fn change(
        &mut self,
        id: &AppId,
        before: Option<(&Age, &[String])>,
        after: Option<(&Age, &[String])>,
    ) -> BTreeSet<AppId> {
        let mut touched = BTreeSet::new();
        if before == after {
            return touched;
        }
        if let Some((age, hosts)) = before {
            for host in hosts {
                if let Some(claims) = self.claims.get_mut(host) {
                    claims.remove(&(age.clone(), id.clone()));
                    touched.extend(claims.iter().map(|(_, other)| other.clone()));
                    if claims.is_empty() {
                        self.claims.remove(host);
                    }
                }
            }
        }
        if let Some((age, hosts)) = after {
            for host in hosts {
                let claims = self.claims.entry(host.clone()).or_default();
                touched.extend(claims.iter().map(|(_, other)| other.clone()));
                claims.insert((age.clone(), id.clone()));
            }
        }
        touched.remove(id);
        touched
    }

    /// Those of these hosts that an older app has.
    pub(crate) fn lost(&self, id: &AppId, hosts: &[String]) -> BTreeSet<String> {
        let is_ours = |host: &String| {
            self.claims.get(host).and_then(BTreeSet::first).is_none_or(|(_, owner)| owner == id)
        };
        hosts.iter().filter(|host| !is_ours(host)).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_older_keeps_a_host_and_the_younger_gets_it_when_that_goes() {
        let mut hosts = Hosts::default();
        let age = |second: i64, uid: &str| (jiff::Timestamp::from_second(second).ok(), uid.to_owned());
        let (old, young) = (AppId::new("a", "old"), AppId::new("a", "young"));
        let (old_age, young_age) = (age(1, "z"), age(1, "zz"));
        let (both, one) = (["x.org".to_owned(), "y.org".to_owned()], ["x.org".to_owned()]);
        assert!(hosts.change(&young, None, Some((&young_age, &both))).is_empty());
        assert!(hosts.lost(&young, &both).is_empty());
        assert_eq!(hosts.change(&old, None, Some((&old_age, &one))), [young.clone()].into());
        assert_eq!(hosts.lost(&young, &both), ["x.org".to_owned()].into());
        assert!(hosts.lost(&old, &one).is_empty());
        assert_eq!(hosts.change(&old, Some((&old_age, &one)), None), [young.clone()].into());
        assert!(hosts.lost(&young, &both).is_empty());
        assert!(hosts.change(&young, Some((&young_age, &both)), None).is_empty());
        assert!(hosts.claims.is_empty());
    }
}
