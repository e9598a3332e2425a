//! What is known of each activator, from its pod and from itself, put together. No I/O.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use reveille_core::control::{AppPort, PortsReport};

use super::pods::PodFacts;
use crate::cluster::traits::{ActivatorPod, Standing};

/// Every activator, by the name of its pod.
#[derive(Debug, Default)]
pub(super) struct Roster {
    pods: BTreeMap<String, Entry>,
}

#[derive(Debug)]
struct Entry {
    facts: PodFacts,
    said: Said,
    /// Why it does not answer, if it has not for too long.
    silence: Option<String>,
}

/// What an activator said last.
#[derive(Debug)]
enum Said {
    Nothing,
    Ports { open: Arc<BTreeSet<AppPort>>, draining: bool },
}

impl Roster {
    /// A pod is there, or has changed. What the one before it of the same name said is forgotten.
    pub(super) fn apply(&mut self, facts: PodFacts) {
        match self.pods.get_mut(&facts.name) {
            Some(entry) if entry.facts.uid == facts.uid => entry.facts = facts,
            _ => {
                let name = facts.name.clone();
                self.pods.insert(name, Entry { facts, said: Said::Nothing, silence: None });
            }
        }
    }

    /// A pod is gone.
    pub(super) fn remove(&mut self, name: &str) {
        self.pods.remove(name);
    }

    /// Only these are there.
    pub(super) fn keep(&mut self, names: &BTreeSet<String>) {
        self.pods.retain(|name, _| names.contains(name));
    }

    /// The activator in that pod has answered.
    pub(super) fn answered(&mut self, name: &str, uid: &str, report: PortsReport) {
        if let Some(entry) = self.of(name, uid) {
            let open = Arc::new(report.open.into_iter().collect());
            entry.said = Said::Ports { open, draining: report.draining };
            entry.silence = None;
        }
    }

    /// It does not answer.
    pub(super) fn silent(&mut self, name: &str, uid: &str, why: String) {
        if let Some(entry) = self.of(name, uid) {
            entry.silence = Some(why);
        }
    }

    fn of(&mut self, name: &str, uid: &str) -> Option<&mut Entry> {
        self.pods.get_mut(name).filter(|entry| entry.facts.uid == uid)
    }

    /// The pods that can be asked: name, and what to ask.
    pub(super) fn facts(&self) -> impl Iterator<Item = &PodFacts> {
        self.pods.values().map(|entry| &entry.facts)
    }

    /// As others see them.
    pub(super) fn view(&self) -> Arc<[ActivatorPod]> {
        self.pods.values().map(Entry::view).collect()
    }
}

impl Entry {
    fn view(&self) -> ActivatorPod {
        let PodFacts { name, uid, addresses, node, .. } = self.facts.clone();
        let open = match &self.said {
            Said::Nothing => Arc::default(),
            Said::Ports { open, .. } => Arc::clone(open),
        };
        ActivatorPod { name, uid, addresses, node, standing: self.standing(), open }
    }

    fn standing(&self) -> Standing {
        match (&self.said, &self.silence) {
            _ if self.facts.is_ending => Standing::Draining,
            (Said::Ports { .. }, Some(why)) => Standing::Silent(why.clone()),
            (Said::Ports { draining: true, .. }, None) => Standing::Draining,
            // One that is being started cannot answer yet: that is no silence.
            _ if !self.facts.is_ready => Standing::Starting,
            (Said::Nothing, Some(why)) => Standing::Silent(why.clone()),
            (Said::Nothing, None) => Standing::Starting,
            (Said::Ports { draining: false, .. }, None) => Standing::Ready,
        }
    }
}

#[cfg(test)]
mod tests {
    use reveille_core::app::AppId;

    use super::*;

    fn facts(uid: &str, is_ready: bool) -> PodFacts {
        PodFacts {
            name: "a".into(),
            uid: uid.into(),
            addresses: vec!["10.0.0.7".parse().unwrap()],
            node: None,
            is_ready,
            is_ending: false,
        }
    }

    fn report(draining: bool) -> PortsReport {
        let open = vec![AppPort { app: AppId::new("team", "web"), port: 20_001 }];
        PortsReport { boot: "b".into(), revision: 1, draining, open, refused: Vec::new() }
    }

    fn standing(roster: &Roster) -> Standing {
        roster.view()[0].standing.clone()
    }

    #[test]
    fn an_activator_is_ready_once_its_pod_is_and_it_has_said_where_it_listens() {
        let mut roster = Roster::default();
        roster.apply(facts("1", false));
        roster.silent("a", "1", "refused".into());
        assert_eq!(standing(&roster), Standing::Starting, "it cannot answer yet");
        roster.apply(facts("1", true));
        assert_eq!(standing(&roster), Standing::Silent("refused".into()));
        roster.answered("a", "1", report(false));
        assert_eq!(standing(&roster), Standing::Ready);
        assert_eq!(roster.view()[0].open.len(), 1);
        roster.silent("a", "1", "timed out".into());
        assert_eq!(standing(&roster), Standing::Silent("timed out".into()));
        assert_eq!(roster.view()[0].open.len(), 1, "it may listen still");
        roster.answered("a", "1", report(true));
        assert_eq!(standing(&roster), Standing::Draining);
        roster.apply(PodFacts { is_ending: true, ..facts("1", true) });
        roster.silent("a", "1", "gone".into());
        assert_eq!(standing(&roster), Standing::Draining);
    }

    #[test]
    fn another_pod_of_the_same_name_has_said_nothing() {
        let mut roster = Roster::default();
        roster.apply(facts("1", true));
        roster.answered("a", "1", report(false));
        roster.apply(facts("2", true));
        assert_eq!(standing(&roster), Standing::Starting);
        roster.answered("a", "1", report(false));
        assert_eq!(standing(&roster), Standing::Starting, "that was the one before");
        roster.keep(&BTreeSet::new());
        assert!(roster.view().is_empty());
    }
}
