//! The protocol as a stateright [`Model`]: the initial state, all steps, and the promises as properties.

use std::time::{Duration, Instant};

use reveille_core::{
    invariants::Promise,
    policy::{Mode, Policy, PolicySpec},
};
use stateright::{Model, Property};

use crate::{
    action::{self, Action},
    bounds::Bounds,
    state::{At, Commit, Report, State},
    step::{Step, Steps},
};

/// See the [module](self).
#[derive(Clone, Debug)]
pub struct Protocol {
    /// The steps that are taken.
    pub steps: Steps,
    /// How much may happen.
    pub bounds: Bounds,
    /// The exceptions of [`Promise`] count as violations, too.
    pub(crate) strict: bool,
    pub(crate) policy: Policy,
    /// A time at which whatever is quiet was quiet for long enough.
    pub(crate) now: Instant,
    actions: Vec<Action>,
}

/// What some run must come to.
pub const REACHED: [&str; 3] = ["falls asleep", "wakes again", "is called off"];

/// Goes on if the step is possible.
pub(crate) fn when(possible: bool) -> Option<()> {
    possible.then_some(())
}

impl Protocol {
    /// The protocol with these steps, within these bounds.
    pub fn new(steps: Steps, bounds: Bounds) -> Self {
        let policy = PolicySpec::default().resolve(Mode::Local).expect("the defaults are valid");
        let now = Instant::now() + Duration::from_secs(1_000_000);
        Self { steps, bounds, strict: false, policy, now, actions: action::all() }
    }

    /// The same, with the exceptions of [`Promise`] counted as violations, too.
    #[must_use]
    pub fn strict(self) -> Self {
        Self { strict: true, ..self }
    }

    /// Whether the step is taken.
    pub(crate) fn takes(&self, step: Step) -> bool {
        self.steps.take(step)
    }

    fn apply(&self, s: &mut State, action: Action) -> Option<()> {
        use Action as A;
        match action {
            A::Arrives(i) => self.arrives(s, i),
            A::Released(i) => self.released(s, i),
            A::HangsUp(i) => self.hangs_up(s, i),
            A::Answered(i) => self.answered(s, i),
            A::ArrivesDirectly => self.arrives_directly(s),
            A::AnsweredDirectly => self.answered_directly(s),
            A::NodesHear => self.nodes_hear(s),
            A::HearsPhase(i) => self.hears_phase(s, i),
            A::HearsStrayShut(i) => self.hears_stray_shut(s, i),
            A::SeesSlices(i) => self.sees_slices(s, i),
            A::LeaseEnds(i) => self.lease_ends(s, i),
            A::Settles(i) => self.settles(s, i),
            A::Wakes(i) => self.wakes(s, i),
            A::SendsWake(i) => self.sends_wake(s, i),
            A::WakeCommits => self.wake_commits(s),
            A::HasLooked(i) => self.has_looked(s, i),
            A::LooksAgain(i) => self.looks_again(s, i),
            A::IsMade(i) => self.is_made(s, i),
            A::ListsApps(i) => self.lists_apps(s, i),
            A::IsReady(i) => self.is_ready(s, i),
            A::Drains(i) => self.drains(s, i),
            A::Leaves(i) => self.leaves(s, i),
            A::Crashes(i) => self.crashes(s, i),
            A::Begins(c) => self.begins(s, c),
            A::Announces(c) => self.announces(s, c),
            A::TakesOffPath(c) => self.takes_off_path(s, c),
            A::WaitsForNodes(c) => self.waits_for_nodes(s, c),
            A::Scrapes(c) => self.scrapes(s, c),
            A::ReadsAgain(c) => self.reads_again(s, c),
            A::AnnouncesAgain(c) => self.announces_again(s, c),
            A::Lists(c) => self.lists(s, c),
            A::Shuts(c, i) => self.shuts(s, c, i),
            A::GivesUp(c) => self.gives_up(s, c),
            A::Commits(c) => self.commits(s, c),
            A::CommitLands(slot) => self.commit_lands(s, slot),
            A::TimesOut(c) => self.times_out(s, c),
            A::Fences(c) => self.fences(s, c),
            A::Reads(c) => self.reads(s, c),
            A::Concludes(c) => self.concludes(s, c),
            A::TellsCommitted(c, i) => self.tells_committed(s, c, i),
            A::AnnouncesAsleep(c) => self.announces_asleep(s, c),
            A::AnnouncesAwake(c) => self.announces_awake(s, c),
            A::Opens(c, i) => self.opens(s, c, i),
            A::Ends(c) => self.ends(s, c),
            A::IsLate(c) => self.is_late(s, c),
            A::Dies(c) => self.dies(s, c),
            A::Leads(c) => self.leads(s, c),
            A::FindsFalling(c) => self.finds_falling(s, c),
            A::SeesAwake(c) => self.sees_awake(s, c),
            A::FindsOffPath(c) => self.finds_off_path(s, c),
            A::PutsOnPath(c) => self.puts_on_path(s, c),
            A::Raises(c) => self.raises(s, c),
            A::StatusWritten => self.status_written(s),
            A::WokenByHand => self.woken_by_hand(s),
            A::WorkloadSees => self.workload_sees(s),
            A::WorkloadActs => self.workload_acts(s),
            A::WorkloadNotes => self.workload_notes(s),
            A::PodDies => self.pod_dies(s),
            A::SlicesFollow => self.slices_follow(s),
        }
    }

    /// The state after the action, if it is possible and changes anything.
    pub fn after(&self, state: &State, action: Action) -> Option<State> {
        let mut next = *state;
        self.apply(&mut next, action)?;
        self.tidy(&mut next);
        (next != *state).then_some(next)
    }

    /// Forgets what nothing depends on any more, so that equal states look equal.
    fn tidy(&self, s: &mut State) {
        if self.takes(Step::CompareBoot) {
            for activator in &mut s.activators {
                // Only differences from a report count.
                if activator.told.iter().all(|known| known.report == Report::None) {
                    activator.started = 0;
                }
            }
        }
        if self.takes(Step::Precondition) {
            let waits = |commit: &Commit| {
                let by = &s.controllers[usize::from(commit.by)];
                by.at == At::Sent && by.epoch == commit.epoch
            };
            // One that nobody waits for and that can only conflict.
            let commits = s.api.commits.map(|slot| slot.filter(|commit| commit.fresh || waits(commit)));
            s.api.commits = commits;
        }
        if s.api.commits[0].is_none() {
            s.api.commits.swap(0, 1);
        }
    }

    /// What moves the protocol on: not a fault, not a new request, not a new attempt, and not the arrival of a write
    /// that nobody waits for.
    fn is_progress(&self, s: &State, action: Action) -> bool {
        use Action as A;
        match action {
            A::CommitLands(slot) => s.api.commits[slot].is_some_and(|commit| {
                let by = &s.controllers[usize::from(commit.by)];
                by.at == At::Sent && by.epoch == commit.epoch
            }),
            A::Arrives(_)
            | A::ArrivesDirectly
            | A::HangsUp(_)
            | A::HearsStrayShut(_)
            | A::SendsWake(_)
            | A::WakeCommits
            | A::IsMade(_)
            | A::Drains(_)
            | A::Crashes(_)
            | A::Begins(_)
            | A::TimesOut(_)
            | A::IsLate(_)
            | A::Dies(_)
            | A::Raises(_)
            | A::StatusWritten
            | A::WokenByHand
            | A::PodDies => false,
            _ => true,
        }
    }

    /// Whether the promise holds that needs a look at what can still happen.
    pub fn is_not_shut_for_ever(&self, s: &State) -> bool {
        self.all_served(s)
            || self
                .actions
                .iter()
                .any(|action| self.is_progress(s, *action) && self.after(s, *action).is_some())
    }
}

/// The same state with the activators in order: they do not differ but by number.
pub fn sorted(state: &State) -> State {
    let mut sorted = *state;
    sorted.activators.sort_unstable();
    sorted
}

impl Model for Protocol {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State::new(&self.bounds)]
    }

    fn actions(&self, _: &State, actions: &mut Vec<Action>) {
        actions.extend_from_slice(&self.actions);
    }

    fn next_state(&self, state: &State, action: Action) -> Option<State> {
        self.after(state, action)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        use Promise::{NeverShutForEver, NoneLost, NoneToStopped, OnlyIdle, OnlyRaised, WakeWins};
        let [asleep, again, off] = REACHED;
        vec![
            Property::always(NoneLost.name(), |_, s: &State| !s.flaws.has(NoneLost)),
            Property::always(NoneToStopped.name(), |_, s: &State| !s.flaws.has(NoneToStopped)),
            Property::always(WakeWins.name(), |_, s: &State| !s.flaws.has(WakeWins)),
            Property::always(OnlyRaised.name(), |_, s: &State| !s.flaws.has(OnlyRaised)),
            Property::always(OnlyIdle.name(), |_, s: &State| !s.flaws.has(OnlyIdle)),
            Property::always(NeverShutForEver.name(), |model: &Self, s: &State| {
                model.is_not_shut_for_ever(s)
            }),
            Property::sometimes(asleep, |_, s: &State| s.api.replicas == 0),
            Property::sometimes(again, |_, s: &State| s.api.pods >= 2),
            Property::sometimes(off, |_, s: &State| s.controllers.iter().any(|c| c.at == At::Opening)),
        ]
    }
}
