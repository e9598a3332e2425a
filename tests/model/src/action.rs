//! What can happen, one step at a time.

use crate::state::{ACTIVATORS, CONTROLLERS};

/// An activator, by number.
pub type I = usize;
/// A controller, by number.
pub type C = usize;

/// One step of anybody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// A request reaches an activator.
    Arrives(I),
    /// A held request is let go.
    Released(I),
    /// A request is answered.
    Answered(I),
    /// The client of a held request leaves.
    HangsUp(I),
    /// Bypass: a request reaches the pod directly.
    ArrivesDirectly,
    /// Bypass: it is answered.
    AnsweredDirectly,
    /// Bypass: the nodes hear where traffic is to go.
    NodesHear,

    /// An activator hears of an announcement.
    HearsPhase(I),
    /// An activator is shut by a call that nobody waits for any more.
    HearsStrayShut(I),
    /// An activator sees the next state of the slices.
    SeesSlices(I),
    /// An activator's lease ends and it reads the count.
    LeaseEnds(I),
    /// It lists the slices and goes by both.
    Settles(I),
    /// An activator raises the count.
    Wakes(I),
    /// An activator sends a wake that takes its time.
    SendsWake(I),
    /// It commits, or not.
    WakeCommits,
    /// An activator looks again at a bar that holds somebody up: it reads the count.
    LooksAgain(I),
    /// Then it lists the slices.
    HasLooked(I),
    /// An activator's pod is made.
    IsMade(I),
    /// An activator lists what there is.
    ListsApps(I),
    /// An activator becomes ready.
    IsReady(I),
    /// An activator begins to drain.
    Drains(I),
    /// A drained activator is gone.
    Leaves(I),
    /// An activator crashes; its pod stays.
    Crashes(I),

    /// A controller finds the app idle.
    Begins(C),
    /// A controller announces `FallingAsleep`.
    Announces(C),
    /// Bypass: a controller takes the pods off the direct path.
    TakesOffPath(C),
    /// Bypass: a controller waits for the nodes.
    WaitsForNodes(C),
    /// Bypass: a controller reads the pods' counters.
    Scrapes(C),
    /// Bypass: a controller reads the version again.
    ReadsAgain(C),
    /// Bypass: it announces again what it announced.
    AnnouncesAgain(C),
    /// A controller lists the activators.
    Lists(C),
    /// An activator is shut and answers, or is not reached.
    Shuts(C, I),
    /// By hand: a controller does not wait any longer for work in service.
    GivesUp(C),
    /// A controller sends the commit.
    Commits(C),
    /// The commit of that slot reaches the API server.
    CommitLands(usize),
    /// A controller gives up waiting for the outcome.
    TimesOut(C),
    /// A controller fences the scale object.
    Fences(C),
    /// A controller reads the count.
    Reads(C),
    /// A controller lists the slices and goes by both.
    Concludes(C),
    /// An activator is told that the count is 0.
    TellsCommitted(C, I),
    /// A controller announces `Asleep`.
    AnnouncesAsleep(C),
    /// A controller announces the app awake again.
    AnnouncesAwake(C),
    /// An activator is told that nothing came of it.
    Opens(C, I),
    /// A controller has ended its attempt.
    Ends(C),
    /// A controller is late.
    IsLate(C),
    /// A controller ends.
    Dies(C),
    /// A controller begins to lead.
    Leads(C),
    /// A leader finds the app falling asleep, and not by itself.
    FindsFalling(C),
    /// A leader sees that a wake is over.
    SeesAwake(C),
    /// Bypass: a leader finds the pods of an awake app off the direct path.
    FindsOffPath(C),
    /// Bypass: it puts them back.
    PutsOnPath(C),
    /// A leader raises the count further.
    Raises(C),

    /// Somebody else writes the object, without a change of the count.
    StatusWritten,
    /// Somebody wakes the app by hand.
    WokenByHand,
    /// The workload's controller sees the count.
    WorkloadSees,
    /// The workload's controller makes or stops the pod.
    WorkloadActs,
    /// The pod ends by itself.
    PodDies,
    /// Bypass: the workload's controller writes down that pods are ready, or are not any more.
    WorkloadNotes,
    /// The slices follow the pods.
    SlicesFollow,
}

/// Every action there is, in a fixed order.
pub fn all() -> Vec<Action> {
    use Action as A;
    let mut all = vec![A::ArrivesDirectly, A::AnsweredDirectly, A::NodesHear];
    for i in 0..ACTIVATORS {
        all.extend([A::Arrives(i), A::Released(i), A::Answered(i), A::HearsPhase(i), A::SeesSlices(i)]);
        all.extend([
            A::LeaseEnds(i),
            A::Settles(i),
            A::Wakes(i),
            A::SendsWake(i),
            A::LooksAgain(i),
            A::HasLooked(i),
            A::HangsUp(i),
        ]);
        all.push(A::HearsStrayShut(i));
        all.extend([A::IsMade(i), A::ListsApps(i), A::IsReady(i), A::Drains(i), A::Leaves(i), A::Crashes(i)]);
    }
    for c in 0..CONTROLLERS {
        all.extend([A::Begins(c), A::Announces(c), A::TakesOffPath(c), A::WaitsForNodes(c), A::Scrapes(c)]);
        all.extend([A::ReadsAgain(c), A::AnnouncesAgain(c), A::Lists(c)]);
        for i in 0..ACTIVATORS {
            all.extend([A::Shuts(c, i), A::TellsCommitted(c, i), A::Opens(c, i)]);
        }
        all.extend([A::Commits(c), A::TimesOut(c), A::Fences(c), A::Reads(c), A::Concludes(c)]);
        all.extend([A::AnnouncesAsleep(c), A::AnnouncesAwake(c), A::Ends(c), A::IsLate(c), A::Dies(c)]);
        all.extend([A::GivesUp(c), A::Raises(c)]);
        all.extend([A::Leads(c), A::FindsFalling(c), A::SeesAwake(c), A::FindsOffPath(c), A::PutsOnPath(c)]);
    }
    all.extend([A::WakeCommits, A::CommitLands(0), A::CommitLands(1), A::StatusWritten, A::WokenByHand]);
    all.extend([A::WorkloadSees, A::WorkloadActs, A::WorkloadNotes, A::PodDies, A::SlicesFollow]);
    all
}
