//! What the model remembers. Small and flat, so that millions of states fit.
//!
//! Three simplifications lose nothing:
//!
//! - A `resourceVersion` is only ever compared with the present one. So whoever holds one holds a bit instead:
//!   whether it is still the present one. Every write of the object clears all those bits.
//! - The app has one replica at a time, one after the other, so the history of its pods is a number: 2k is "pod k
//!   serves", 2k+1 is "pod k was told to stop". What the slices say, and what each activator has seen of
//!   them, are numbers that follow it.
//! - Of the requests that were served nothing is remembered.

use crate::bounds::{Bounds, Budget, Mode};

/// How many activators there can be.
pub const ACTIVATORS: usize = 2;
/// How many controllers there can be.
pub const CONTROLLERS: usize = 2;
/// An attempt to put the app to sleep; 0 is none.
pub type Epoch = u8;

/// The life of one activator's pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Life {
    /// There is none.
    Absent,
    /// It exists and can be listed, its process has not read anything yet.
    Created,
    /// It has listed the apps and is not ready.
    Listed,
    /// It receives requests.
    Ready,
    /// It is on its way out. Requests still come, because nodes hear of it late.
    Draining,
}

/// What a controller knows of an activator in its present attempt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Known {
    /// What the idle report said.
    pub report: Report,
    /// How far its shut is.
    pub shut: Shut,
}

/// The idle report of an activator.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Report {
    /// It made none.
    #[default]
    None,
    /// So many requests were ever counted in.
    Started(u8),
    /// It was made by an earlier run of the activator.
    OtherBoot,
}

/// How far the shut of one activator is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Shut {
    /// It was not listed.
    #[default]
    Unlisted,
    /// It was listed.
    Pending,
    /// Its counts were compared; only without [`ShutBeforeCheck`](crate::Step::ShutBeforeCheck).
    Checked,
    /// It answered and nothing had passed.
    Done,
}

/// What an activator read when it began to settle the end of a lease.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Settling {
    /// It is not at it.
    #[default]
    No,
    /// The count was 0.
    Zero,
    /// The count was 1 or more.
    Up,
    /// It has listed the slices instead; only without [`ReadThenList`](crate::Step::ReadThenList).
    Listed,
}

/// One activator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Activator {
    /// Its pod.
    pub life: Life,
    /// The newest announcement that it heard of.
    pub seen: Epoch,
    /// The epoch under which its gate is shut.
    pub lease: Epoch,
    /// The newest epoch whose lease has ended here.
    pub ended: Epoch,
    /// The shut has no end of its own; only without [`LeaseFromPhase`](crate::Step::LeaseFromPhase).
    pub endless: bool,
    /// The end of the lease is being settled.
    pub settling: Settling,
    /// It looks again at its bar: the count was 1 or more.
    pub looking: bool,
    /// How far it has seen the slices.
    pub view: u8,
    /// The replica in the view was known at the shut.
    pub known: bool,
    /// The replica in the view is barred.
    pub barred: bool,
    /// The replica in the view refused a connection.
    pub failed: bool,
    /// Requests ever counted in, as far as a report may be compared with it.
    pub started: u8,
    /// Requests in the hold.
    pub held: u8,
    /// Requests being served by the replica.
    pub serving: u8,
    /// What the controllers know of it.
    pub told: [Known; CONTROLLERS],
}

impl Activator {
    /// One whose process has just started, or is yet to be.
    pub fn new(life: Life) -> Self {
        Self {
            life,
            seen: 0,
            lease: 0,
            ended: 0,
            endless: false,
            settling: Settling::No,
            looking: false,
            view: 0,
            known: false,
            barred: false,
            failed: false,
            started: 0,
            held: 0,
            serving: 0,
            told: [Known::default(); CONTROLLERS],
        }
    }

    /// Whether its process runs.
    pub fn is_up(&self) -> bool {
        !matches!(self.life, Life::Absent | Life::Created)
    }

    /// Whether clients reach it.
    pub fn takes_requests(&self) -> bool {
        matches!(self.life, Life::Ready | Life::Draining)
    }

    /// Whether its view shows a replica that it may use.
    pub fn has_usable(&self) -> bool {
        serves(self.view) && !self.barred && !self.failed
    }

    /// Whether a request passes.
    pub fn is_open(&self) -> bool {
        self.lease == 0 && self.has_usable()
    }
}

/// Whether a history of pods that is so long ends with one that serves.
pub fn serves(history: u8) -> bool {
    history.is_multiple_of(2)
}

/// Who leads, in the controller's own belief.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// It stands by.
    Standby,
    /// It leads, or has not noticed that it does no longer.
    Leading,
    /// It has ended.
    Dead,
}

/// How far a controller's attempt is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum At {
    /// It does nothing.
    Idle,
    /// It found the app idle and read the version.
    Begun,
    /// The phase was announced.
    Announced,
    /// Bypass: the pods were taken off the direct path.
    OffPath,
    /// Bypass: the nodes had time to hear of it.
    Waited,
    /// Bypass: the counters were quiet.
    Quiet,
    /// Bypass: the version was read again.
    Reread,
    /// Bypass: that it falls asleep was announced again.
    AnnouncedAgain,
    /// The activators are listed and being shut.
    Shutting,
    /// The commit is on its way.
    Sent,
    /// Nothing is known of the commit.
    Unknown,
    /// No earlier commit can come any more.
    Fenced,
    /// The count was read: whether it is 1 or more.
    Read(bool),
    /// It is known to be 0.
    Committed,
    /// It is called off, with no commit on its way.
    Off,
    /// The app was announced awake again.
    Opening,
    /// Bypass: it is about to put the pods of an awake app back on the direct path.
    Restoring,
}

/// One controller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Controller {
    /// Whether it leads.
    pub role: Role,
    /// How far its attempt is.
    pub at: At,
    /// The attempt, or that which it settles.
    pub epoch: Epoch,
    /// It settles what another one began.
    pub found: bool,
    /// The version that it read is still the present one.
    pub fresh: bool,
    /// It was frozen or cut off for longer than a lease.
    pub late: bool,
    /// Observed, not known to it: the count was raised since it read the version.
    pub raised: bool,
    /// Observed, not known to it: a request passed since the idle report.
    pub called: bool,
    /// Bypass: the version of the pods' conditions that it read is still the present one.
    pub path_fresh: bool,
    /// Bypass: the counters moved since the idle report.
    pub moved: bool,
    /// Bypass: the version of the app's status that it read before the fence, or that its last write made, is still the
    /// present one.
    pub status_fresh: bool,
}

impl Controller {
    /// One that does nothing.
    pub fn new(role: Role) -> Self {
        Self {
            role,
            at: At::Idle,
            epoch: 0,
            found: false,
            fresh: false,
            late: false,
            raised: false,
            called: false,
            path_fresh: false,
            moved: false,
            status_fresh: false,
        }
    }

    /// Whether an attempt of its own is under way.
    pub fn attempts(&self) -> bool {
        !matches!(self.at, At::Idle | At::Restoring) && !self.found
    }
}

/// A commit of 0 that has not reached the API server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Commit {
    /// The attempt.
    pub epoch: Epoch,
    /// The controller that sent it.
    pub by: u8,
    /// The version that it carries is the present one.
    pub fresh: bool,
    /// The count was raised since that version was read.
    pub raised: bool,
    /// It was sent while every lease stood.
    pub in_lease: bool,
    /// A request had passed between the idle report and when it was sent.
    pub called: bool,
}

/// The phase in the app's status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Phase {
    /// `Awake`, and what falls under it here: a wake that is not over is still `Asleep`.
    Awake,
    /// `FallingAsleep`, in this epoch.
    Falling(Epoch),
    /// `Asleep` since this epoch.
    Asleep(Epoch),
}

/// What the API server and Kubernetes' own controllers hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Api {
    /// The count in the scale object.
    pub replicas: u8,
    /// The last commit of 0 counts as a replica's own end: see [`invariants`](reveille_core::invariants).
    pub excused: bool,
    /// The phase.
    pub phase: Phase,
    /// The newest epoch that was announced.
    pub announced: Epoch,
    /// The newest epoch that was begun.
    pub begun: Epoch,
    /// Whether the workload's controller last saw a count of 1 or more.
    pub workload_sees: bool,
    /// Bypass: it has yet to write down how many pods are ready.
    pub workload_notes: bool,
    /// The history of the pods.
    pub pods: u8,
    /// The pods that were told to stop by an excused commit, one bit each.
    pub excused_pods: u8,
    /// One has ended by itself.
    pub one_died: bool,
    /// How much of it the slices say.
    pub slices: u8,
    /// Commits on their way.
    pub commits: [Option<Commit>; 2],
    /// A wake on its way: whether the version that it carries is the present one.
    pub wake: Option<bool>,
}

/// Bypass: the direct path.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Direct {
    /// The pods are to be reached directly.
    pub wanted: bool,
    /// The nodes lead there.
    pub nodes: bool,
    /// Requests that the pod is serving.
    pub serving: u8,
}

/// The invariants that were violated on the way, one bit each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Flaws(pub u8);

/// Everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct State {
    /// The API server, the workload's pods and their slices.
    pub api: Api,
    /// The activators.
    pub activators: [Activator; ACTIVATORS],
    /// The controllers.
    pub controllers: [Controller; CONTROLLERS],
    /// The direct path.
    pub direct: Direct,
    /// What may still happen.
    pub left: Budget,
    /// What went wrong.
    pub flaws: Flaws,
}

impl State {
    /// An awake app that nobody calls.
    pub fn new(bounds: &Bounds) -> Self {
        let standby = if bounds.standby { Role::Standby } else { Role::Dead };
        let direct = matches!(bounds.mode, Mode::Bypass { .. });
        Self {
            api: Api {
                replicas: 1,
                excused: false,
                phase: Phase::Awake,
                announced: 0,
                begun: 0,
                workload_sees: true,
                workload_notes: false,
                pods: 0,
                excused_pods: 0,
                one_died: false,
                slices: 0,
                commits: [None; 2],
                wake: None,
            },
            activators: bounds.activators.map(Activator::new),
            controllers: [Controller::new(Role::Leading), Controller::new(standby)],
            direct: Direct { wanted: direct, nodes: direct, serving: 0 },
            left: bounds.budget,
            flaws: Flaws::default(),
        }
    }
}
