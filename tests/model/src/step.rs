//! The steps of the protocol, each of which a model can leave out to show what it is for.

use std::fmt;

/// Declares the steps once: the variant, whether the design names it or the model asked for it, what it says.
macro_rules! steps {
    ($($(#[doc = $doc:literal])+ $name:ident = $origin:ident,)+) => {
        /// One step of the protocol. What it says is its documentation.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u8)]
        pub enum Step {
            $($(#[doc = $doc])+ $name,)+
        }

        impl Step {
            /// Every step.
            pub const ALL: &[Self] = &[$(Self::$name),+];

            /// Where the step comes from.
            pub fn origin(self) -> Origin {
                match self {
                    $(Self::$name => Origin::$origin,)+
                }
            }

            /// What the step says.
            pub fn says(self) -> &'static str {
                match self {
                    $(Self::$name => concat!($($doc),+),)+
                }
            }
        }
    };
}

/// Where a step comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The design has had it from the beginning, in words or by what it takes for granted.
    Designed,
    /// A counterexample of this model asked for it, or for saying it.
    Found,
}

steps! {
    /// The version of the scale object is read before the announcement.
    VersionFirst = Designed,
    /// `FallingAsleep` is announced before gates are shut.
    Announce = Designed,
    /// The activators are listed after the announcement.
    ListActivators = Designed,
    /// A draining activator is listed, too.
    ListDraining = Designed,
    /// A gate is shut before its counts are read.
    ShutBeforeCheck = Designed,
    /// The counts are compared with those of the idle report.
    CheckCounts = Designed,
    /// Counts of another run of the activator are not comparable.
    CompareBoot = Designed,
    /// The commit of 0 carries the version.
    Precondition = Designed,
    /// The commit is sent once: nothing on its way repeats it, so that a conflict says that it was not applied.
    SendOnce = Designed,
    /// An unknown outcome is settled by a fence before the count is read.
    FenceUnknown = Designed,
    /// A leader fences every app that it finds falling asleep.
    FenceFound = Designed,
    /// An activator lists the apps before it is ready, and takes `FallingAsleep` for a shut.
    ListApps = Designed,
    /// Replicas known at the shut are barred after a committed 0.
    Bar = Designed,
    /// The leases are renewed while the outcome is unknown.
    Renew = Designed,
    /// A wake raises the count only if it is 0.
    CompareZero = Designed,
    /// Bypass: the pods leave the direct path before the gates are shut.
    LeaveDirectPath = Designed,
    /// Bypass: the nodes are given time to hear of it.
    WaitForNodes = Designed,
    /// Bypass: the counters are read again after that.
    ScrapeAgain = Designed,

    /// An activator that is not ready yet is listed, too.
    ListUnready = Found,
    /// Nobody raises the count while a slice still shows a replica from before.
    StopBeforeWake = Found,
    /// Whoever settles an epoch by reading the count lists the slices after it.
    ListAfterRead = Found,
    /// It does so after it, not beside it.
    ReadThenList = Found,
    /// What was read before a shut is not applied after it.
    ForgetReads = Found,
    /// An activator lists the slices when it shuts, so that it knows every replica there is.
    ListAtShut = Found,
    /// A shut that the phase alone asked for ends like a lease.
    LeaseFromPhase = Found,
    /// A renewal goes to the activators that there are now.
    RenewAll = Found,
    /// The commit is sent only while, by the controller's own clock, no lease can have ended.
    CommitInLease = Found,
    /// An activator refuses to shut for an epoch that is older than its lease, or whose lease has ended.
    RefuseOld = Found,
    /// What an activator that starts while the app is asleep finds in the slices is barred, too.
    BarOnStart = Found,
    /// Barred is not only what was known at the shut, but every replica, until the count was seen above 0 again.
    BarAll = Found,
    /// A wake that may commit late carries the version of the 0 that it saw.
    WakeVersion = Found,
    /// A bar is looked at again while somebody waits behind it.
    LookAgain = Found,
    /// Bypass: the pods are put back by a compare-and-set whose version was read before the phase.
    PathVersion = Found,
    /// Bypass: taking the pods off the path changes their version even where they are off it: it names the epoch.
    PathMarked = Found,
    /// Bypass: the version that is read again once the pods left the path counts only if the announcement, written again after
    /// that, still follows the writer's own.
    AnnounceAgain = Found,
    /// Bypass: the first announcement is a compare-and-set of the very status that the decision was made on: the version that was
    /// read then is replaced by a newer one.
    AnnounceAsRead = Found,
    /// Bypass: who ends an attempt that he found does so over the status as he read it before the fence.
    EndAsRead = Found,
    /// Bypass, without a gauge of what is in flight: the TTL passes once more after the pods left the direct path.
    Outlast = Found,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// Which steps a model takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Steps(u64);

impl Steps {
    /// All of them: the protocol as it is to be built.
    pub fn all() -> Self {
        Step::ALL.iter().fold(Self(0), |steps, step| Self(steps.0 | step.bit()))
    }

    /// Those that the first design had.
    pub fn designed() -> Self {
        let designed = Step::ALL.iter().filter(|step| step.origin() == Origin::Designed);
        designed.fold(Self(0), |steps, step| Self(steps.0 | step.bit()))
    }

    /// The same without this one.
    #[must_use]
    pub fn without(self, step: Step) -> Self {
        Self(self.0 & !step.bit())
    }

    /// The same with this one.
    #[must_use]
    pub fn with(self, step: Step) -> Self {
        Self(self.0 | step.bit())
    }

    /// Whether the step is taken.
    pub fn take(self, step: Step) -> bool {
        self.0 & step.bit() != 0
    }
}

impl Step {
    fn bit(self) -> u64 {
        1 << self as u8
    }
}
