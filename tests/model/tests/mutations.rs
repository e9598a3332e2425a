//! What each step is for: left out, the checker finds a run that breaks a promise.
//!
//! If one of these fails, either the step is redundant, or the bounds are too small to show its use.

use reveille_core::invariants::Promise;
use reveille_tests_model::{Bounds, Protocol, Step, Steps, bounds::Budget, check};

/// Declares a test for each step that is left out: within which bounds, and which promise is broken.
macro_rules! mutations {
    ($($name:ident: $step:ident, $bounds:expr, $promise:ident;)+) => {
        $(
            #[test]
            fn $name() {
                let protocol = Protocol::new(Steps::all().without(Step::$step), $bounds);
                check::breaks(concat!("without ", stringify!($step)), protocol, Promise::$promise);
            }
        )+

        /// Which steps are left out by which test.
        const LEFT_OUT: &[Step] = &[$(Step::$step),+];
        /// Which promises are broken.
        const BROKEN: &[Promise] = &[$(Promise::$promise),+];
    };
}

mutations! {
    version_first: VersionFirst, Bounds::failover(), NoneLost;
    announce: Announce, Bounds::fleet(), NoneLost;
    list_activators: ListActivators, Bounds::fleet(), NoneLost;
    list_draining: ListDraining, Bounds::fleet(), NoneLost;
    shut_before_check: ShutBeforeCheck, Bounds::calm(), NoneLost;
    check_counts: CheckCounts, Bounds::calm(), NoneLost;
    check_counts_by_hand: CheckCounts, Bounds::by_hand(), NoneLost;
    compare_boot: CompareBoot, Bounds::fleet(), OnlyIdle;
    precondition: Precondition, Bounds::late_commits(), NoneLost;
    precondition_and_wake: Precondition, Bounds::late_commits(), WakeWins;
    fence_unknown: FenceUnknown, Bounds::late_commits(), NoneLost;
    fence_found: FenceFound, Bounds::failover(), NoneLost;
    list_apps: ListApps, Bounds::fleet(), NoneLost;
    bar: Bar, Bounds::calm(), NoneToStopped;
    renew: Renew, Bounds::late_commits(), NoneLost;
    compare_zero: CompareZero, raised(), OnlyRaised;
    leave_direct_path: LeaveDirectPath, Bounds::bypass(true), NoneLost;
    wait_for_nodes: WaitForNodes, Bounds::bypass(true), NoneLost;
    scrape_again: ScrapeAgain, Bounds::bypass(true), NoneLost;

    stop_before_wake: StopBeforeWake, Bounds::calm(), NoneToStopped;
    list_after_read: ListAfterRead, Bounds::calm(), NoneToStopped;
    list_unready: ListUnready, Bounds::fleet(), NoneLost;
    read_then_list: ReadThenList, Bounds::calm(), NoneToStopped;
    forget_reads: ForgetReads, Bounds::calm(), NoneToStopped;
    list_at_shut: ListAtShut, Bounds::calm(), NoneToStopped;
    lease_from_phase: LeaseFromPhase, Bounds::late_commits(), NeverShutForEver;
    renew_all: RenewAll, Bounds::fleet(), NoneLost;
    commit_in_lease: CommitInLease, Bounds::late_commits(), NoneLost;
    send_once: SendOnce, Bounds::calm(), NoneToStopped;
    refuse_old: RefuseOld, Bounds::failover(), NoneLost;
    bar_on_start: BarOnStart, Bounds::fleet(), NoneToStopped;
    bar_all: BarAll, Bounds::replicas(), NoneToStopped;
    wake_version: WakeVersion, late_wake(), NoneToStopped;
    look_again: LookAgain, Bounds::calm(), NeverShutForEver;
    path_version: PathVersion, Bounds::bypass(true), NoneLost;
    path_marked: PathMarked, Bounds::bypass(true), NoneLost;
    announce_again: AnnounceAgain, Bounds::bypass(true), NoneLost;
    announce_as_read: AnnounceAsRead, Bounds::bypass_by_hand(), WakeWins;
    end_as_read: EndAsRead, Bounds::bypass(true), NoneLost;
    outlast: Outlast, Bounds::bypass(false), NoneLost;
}

/// A leader that raises the count, and a replica that ends.
fn raised() -> Bounds {
    let budget = Budget { requests: 2, attempts: 1, raises: 1, pod_deaths: 1, ..Budget::default() };
    Bounds { budget, ..Bounds::calm() }
}

/// A wake that takes its time, and two sleeps.
fn late_wake() -> Bounds {
    Bounds::calm().but(|left| left.late_wakes = 1)
}

#[test]
fn every_step_is_left_out_once() {
    for step in Step::ALL {
        assert!(LEFT_OUT.contains(step), "no test leaves out {step}: {}", step.says());
    }
}

#[test]
fn every_promise_is_broken_once() {
    for promise in Promise::ALL {
        assert!(
            BROKEN.contains(&promise),
            "no mutation breaks \"{}\": it may hold for no reason",
            promise.name()
        );
    }
}
