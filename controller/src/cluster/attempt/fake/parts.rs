//! The world as each part of an attempt meets it.

use std::{net::SocketAddr, time::Duration};

use reveille_core::{
    app::AppId,
    control::{ActivityReport, AllActivity, AttemptOutcome, Shut},
    policy::Policy,
    resource::{Scrape, TargetSpec, TrafficMode},
};
use tokio::time::Instant;

use super::{EPOCH, FakeActivator, Fate, LEASE, Manner, World};
use crate::cluster::{
    fleet::{ControlError, Fleet, Member},
    scrape::{Sample, Scraper},
    traits::{AnnounceError, Announcement, BoxFuture, Commit, Scale, ScaleError, Scales, Sleeper},
};

async fn turn() {
    tokio::time::sleep(Duration::from_millis(1)).await;
}

impl Scales for World {
    fn get<'a>(&'a self, _: &'a str, _: &'a TargetSpec) -> BoxFuture<'a, Result<Scale, ScaleError>> {
        Box::pin(async {
            turn().await;
            let mut state = self.state();
            state.api("read")?;
            let (replicas, version) = (state.replicas, state.version.to_string());
            Ok(Scale { replicas, existing: replicas, selector: None, version })
        })
    }

    fn set<'a>(&'a self, _: &'a str, _: &'a TargetSpec, version: &'a str, to: u32) -> BoxFuture<'a, Commit> {
        Box::pin(async move {
            assert_eq!(to, 0);
            let version = version.parse().unwrap();
            let fate = {
                let mut state = self.state();
                state.log.push("commit".into());
                let now = Instant::now();
                state.sent = Some(now);
                if let Fate::Unanswered(Some(after)) = state.fate {
                    state.on_its_way = Some((now + after, version));
                }
                state.fate
            };
            match fate {
                Fate::Answered => {
                    turn().await;
                    let at = Instant::now();
                    if self.state().land(version, at) { Commit::Done } else { Commit::Conflict }
                }
                Fate::Refused => Commit::Refused("no".into()),
                Fate::Unanswered(_) => {
                    tokio::time::sleep(Duration::from_secs(10)).await;
                    Commit::Unknown("nothing".into())
                }
            }
        })
    }

    fn fence<'a>(&'a self, _: &'a str, _: &'a TargetSpec) -> BoxFuture<'a, Result<(), ScaleError>> {
        Box::pin(async {
            turn().await;
            let mut state = self.state();
            state.api("fence")?;
            state.version += 1;
            Ok(())
        })
    }
}

impl Fleet for World {
    fn list(&self) -> BoxFuture<'_, Result<Vec<Member>, String>> {
        Box::pin(async {
            let takes = self.state().list_takes;
            tokio::time::sleep(takes).await;
            let mut state = self.state();
            state.log.push("list".into());
            let member =
                |(name, one): (&String, &FakeActivator)| Member { name: name.clone(), address: one.address };
            Ok(state.activators.iter().map(member).collect())
        })
    }

    fn report<'a>(
        &'a self,
        member: &'a Member,
        _: &'a AppId,
    ) -> BoxFuture<'a, Result<ActivityReport, ControlError>> {
        Box::pin(async {
            self.answer(member).await?;
            Ok(self.state().activators[&member.name].report.clone())
        })
    }

    fn under_way<'a>(&'a self, _: &'a Member) -> BoxFuture<'a, Result<AllActivity, ControlError>> {
        unreachable!("an attempt is for the app's own counts")
    }

    fn shut<'a>(
        &'a self,
        member: &'a Member,
        _: &'a AppId,
        shut: &'a Shut,
    ) -> BoxFuture<'a, Result<ActivityReport, ControlError>> {
        Box::pin(async move {
            assert_eq!((shut.epoch, shut.lease_ms), (EPOCH, 5_000));
            self.answer(member).await?;
            let mut state = self.state();
            state.log.push("shut".into());
            let now = Instant::now();
            let Some(one) = state.activators.get_mut(&member.name) else {
                return Err(ControlError::Silent { pod: member.name.clone(), why: "gone".into() });
            };
            // A lease that has ended is settled, and its epoch is over.
            if one.told.is_some() || one.lease_ends.is_some_and(|ends| ends <= now) {
                return Err(ControlError::Refused {
                    pod: member.name.clone(),
                    status: 409,
                    detail: "over".into(),
                });
            }
            one.lease_ends = Some(now + LEASE);
            Ok(one.report.clone())
        })
    }

    fn open<'a>(
        &'a self,
        member: &'a Member,
        _: &'a AppId,
        epoch: u64,
        outcome: AttemptOutcome,
    ) -> BoxFuture<'a, Result<(), ControlError>> {
        Box::pin(async move {
            assert_eq!(epoch, EPOCH);
            self.answer(member).await?;
            let mut state = self.state();
            state.log.push(format!("tell {outcome:?}"));
            if let Some(one) = state.activators.get_mut(&member.name) {
                one.told = Some(outcome);
            }
            Ok(())
        })
    }
}

impl World {
    async fn answer(&self, member: &Member) -> Result<(), ControlError> {
        if member.address.is_none() {
            return Err(ControlError::NoAddress(member.name.clone()));
        }
        let manner = self.state().activators.get(&member.name).map(|one| one.manner);
        match manner {
            Some(Manner::After(time)) => {
                tokio::time::sleep(time).await;
                Ok(())
            }
            _ => {
                tokio::time::sleep(Duration::from_secs(3)).await;
                Err(ControlError::Silent { pod: member.name.clone(), why: "nothing within 3 s".into() })
            }
        }
    }
}

impl Scraper for World {
    fn scrape<'a>(&'a self, _: SocketAddr, _: &'a Scrape) -> BoxFuture<'a, Result<Sample, String>> {
        Box::pin(async {
            turn().await;
            let mut state = self.state();
            state.log.push("scrape".into());
            state.sample.clone()
        })
    }
}

impl Sleeper for World {
    fn id(&self) -> &AppId {
        &self.id
    }

    fn target(&self) -> &TargetSpec {
        &self.target
    }

    fn policy(&self) -> &Policy {
        &self.policy
    }

    fn mode(&self) -> TrafficMode {
        self.state().mode
    }

    fn scrape(&self) -> Option<&Scrape> {
        self.scrape.get()
    }

    fn pods(&self) -> BoxFuture<'_, Result<Vec<(String, SocketAddr)>, String>> {
        Box::pin(async { Ok(vec![("pod".to_owned(), SocketAddr::from(([10, 1, 0, 1], 8002)))]) })
    }

    fn announce(&self, what: Announcement) -> BoxFuture<'_, Result<(), AnnounceError>> {
        Box::pin(async move {
            turn().await;
            let mut state = self.state();
            let word = match what {
                Announcement::FallingAsleep { .. } => "announce falling",
                Announcement::Asleep { .. } => "announce asleep",
                Announcement::Awake { .. } => "announce awake",
            };
            state.log.push(word.into());
            if !state.announce_errors.is_empty()
                && let Some(error) = state.announce_errors.remove(0)
            {
                return Err(error);
            }
            state.announces.push(what);
            if matches!(what, Announcement::FallingAsleep { .. }) {
                // Each hears of it and has a lease of its own.
                let ends = Instant::now() + LEASE;
                for one in state.activators.values_mut() {
                    one.lease_ends = Some(ends);
                }
                if state.is_contested {
                    state.version += 1;
                }
            }
            Ok(())
        })
    }

    fn leave_direct_path(&self, epoch: u64) -> BoxFuture<'_, Result<(), String>> {
        assert_eq!(epoch, EPOCH);
        self.state().log.push("leave path".into());
        Box::pin(async { Ok(()) })
    }

    fn is_unwanted(&self) -> BoxFuture<'_, ()> {
        let mut unwanted = self.unwanted.subscribe();
        Box::pin(async move { drop(unwanted.wait_for(|unwanted| *unwanted).await) })
    }

    fn serves(&self) -> BoxFuture<'_, Result<bool, String>> {
        Box::pin(async {
            turn().await;
            let mut state = self.state();
            state.log.push("serves".into());
            Ok(state.serves)
        })
    }
}
