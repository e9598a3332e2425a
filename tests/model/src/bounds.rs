//! How much may happen: the bounds within which everything that can happen is tried.

use crate::state::{ACTIVATORS, Life};

/// How clients reach the app.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Always through the activators.
    Proxy,
    /// Directly to the pods while the app is awake.
    Bypass {
        /// What the pods tell of themselves says what is in flight, not only what has ended.
        gauge: bool,
    },
}

/// Why the app is put to sleep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Occasion {
    /// It is idle.
    Idle,
    /// Somebody asks for it. Work in service is waited for, those who are held wake the app again.
    ByHand,
}

/// What is left of each kind of event. Part of the state: it only shrinks, which is one reason why every run of
/// the model ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Budget {
    /// Requests of clients.
    pub requests: u8,
    /// Clients of held requests that leave.
    pub hang_ups: u8,
    /// Attempts to put the app to sleep.
    pub attempts: u8,
    /// Commits whose outcome the sender does not learn.
    pub timeouts: u8,
    /// Shuts that arrive when nobody waits for the answer.
    pub stray_shuts: u8,
    /// Activators that crash and start again.
    pub crashes: u8,
    /// Activators that are added.
    pub joins: u8,
    /// Activators that drain.
    pub drains: u8,
    /// Controllers that end.
    pub deaths: u8,
    /// Controllers that are late: frozen or cut off for longer than a lease.
    pub lates: u8,
    /// Writes of others that change nothing but the version.
    pub status_writes: u8,
    /// Wakes by hand that take no heed of any protocol.
    pub by_hand: u8,
    /// Writes of an activator that commit late.
    pub late_wakes: u8,
    /// Raises of the count above 1 by the leader.
    pub raises: u8,
    /// Replicas that end by themselves.
    pub pod_deaths: u8,
}

/// The bounds of one check.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// How clients reach the app.
    pub mode: Mode,
    /// Why the app is put to sleep.
    pub occasion: Occasion,
    /// How the activators begin.
    pub activators: [Life; ACTIVATORS],
    /// Whether a second controller stands by.
    pub standby: bool,
    /// How often what may happen.
    pub budget: Budget,
}

impl Bounds {
    /// The same, with other numbers.
    #[must_use]
    pub fn but(mut self, change: impl FnOnce(&mut Budget)) -> Self {
        change(&mut self.budget);
        self
    }

    /// Two activators, one controller: two attempts to sleep among three requests, one of whose clients leaves. One shut
    /// arrives late.
    pub fn calm() -> Self {
        Self {
            mode: Mode::Proxy,
            occasion: Occasion::Idle,
            activators: [Life::Ready; ACTIVATORS],
            standby: false,
            budget: Budget { requests: 3, hang_ups: 1, attempts: 2, stray_shuts: 1, ..Budget::default() },
        }
    }

    /// A commit of unknown outcome in each of two attempts, and a controller that is late or dies.
    pub fn late_commits() -> Self {
        let budget = Budget {
            requests: 3,
            attempts: 2,
            timeouts: 2,
            deaths: 1,
            lates: 1,
            status_writes: 1,
            ..Budget::default()
        };
        Self { budget, ..Self::calm() }
    }

    /// Two controllers of which either may be late or die, and both may believe that they lead.
    pub fn failover() -> Self {
        let budget =
            Budget { requests: 2, attempts: 2, timeouts: 1, deaths: 1, lates: 1, ..Budget::default() };
        Self { standby: true, budget, ..Self::calm() }
    }

    /// Activators crash, join and drain at any step; the controller may die.
    pub fn fleet() -> Self {
        let budget = Budget {
            requests: 2,
            attempts: 1,
            timeouts: 1,
            crashes: 1,
            joins: 1,
            drains: 1,
            deaths: 1,
            ..Budget::default()
        };
        Self { budget, ..Self::calm() }
    }

    /// The same, with two controllers and a second activator that is yet to come.
    pub fn join_in_failover() -> Self {
        let budget = Budget {
            requests: 2,
            attempts: 1,
            timeouts: 1,
            joins: 1,
            deaths: 1,
            lates: 1,
            ..Budget::default()
        };
        Self { activators: [Life::Ready, Life::Absent], standby: true, budget, ..Self::calm() }
    }

    /// Others write, too: wakes by hand, late wakes, a leader that raises the count.
    pub fn other_writers() -> Self {
        let budget = Budget {
            requests: 3,
            attempts: 2,
            status_writes: 1,
            by_hand: 1,
            late_wakes: 1,
            raises: 1,
            ..Budget::default()
        };
        Self { budget, ..Self::calm() }
    }

    /// The app is put to sleep by hand.
    pub fn by_hand() -> Self {
        let budget = Budget {
            requests: 3,
            attempts: 1,
            timeouts: 1,
            crashes: 1,
            deaths: 1,
            lates: 1,
            ..Budget::default()
        };
        Self { occasion: Occasion::ByHand, budget, ..Self::calm() }
    }

    /// A replica ends by itself.
    pub fn replicas() -> Self {
        let budget = Budget { requests: 3, attempts: 2, pod_deaths: 1, deaths: 1, ..Budget::default() };
        Self { budget, ..Self::calm() }
    }

    /// The same, and put to sleep by hand.
    pub fn bypass_by_hand() -> Self {
        Self { occasion: Occasion::ByHand, ..Self::bypass(true) }.but(|left| left.requests = 2)
    }

    /// Clients reach the pods directly while the app is awake.
    pub fn bypass(gauge: bool) -> Self {
        let budget =
            Budget { requests: 3, attempts: 2, timeouts: 1, deaths: 1, lates: 1, ..Budget::default() };
        Self {
            mode: Mode::Bypass { gauge },
            occasion: Occasion::Idle,
            activators: [Life::Ready, Life::Absent],
            standby: true,
            budget,
        }
    }
}
