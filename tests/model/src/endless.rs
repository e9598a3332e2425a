//! Whether a run of the model can go on for ever.
//!
//! [`Promise::NeverShutForEver`](reveille_core::invariants::Promise) looks at states in which nothing is left to happen.
//! It says something of every run only if each one comes to such a state, that is, if no state can be reached
//! again from itself. stateright does not look for that: a search in depth of our own does.

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash, Hasher},
};

use stateright::Model;

use crate::{
    action::Action,
    model::{Protocol, sorted},
    state::State,
};

/// A state on the way from the beginning to the present one.
struct Visit {
    state: State,
    key: u64,
    /// The actions that are still to be tried, by their place in the list.
    next: usize,
    by: Option<Action>,
}

/// What is known of a state.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Seen {
    /// It is on the way to the present one.
    OnTheWay,
    /// All that follows it was looked at.
    Done,
}

/// Looks at every state. Returns how many there are.
///
/// # Errors
/// The actions of a run that comes back to where it was.
pub fn every_run_ends(protocol: &Protocol) -> Result<usize, Vec<Action>> {
    let mut actions = Vec::new();
    let mut seen = HashMap::new();
    let mut way = Vec::new();
    for state in protocol.init_states() {
        protocol.actions(&state, &mut actions);
        let key = key(&state);
        seen.insert(key, Seen::OnTheWay);
        way.push(Visit { state, key, next: 0, by: None });
    }
    while let Some(visit) = way.last_mut() {
        let Some(action) = actions.get(visit.next).copied() else {
            seen.insert(visit.key, Seen::Done);
            way.pop();
            continue;
        };
        visit.next += 1;
        let Some(state) = protocol.after(&visit.state, action) else { continue };
        let key = key(&state);
        match seen.get(&key) {
            None => {
                seen.insert(key, Seen::OnTheWay);
                way.push(Visit { state, key, next: 0, by: Some(action) });
            }
            Some(Seen::Done) => {}
            Some(Seen::OnTheWay) => {
                return Err(way.iter().filter_map(|visit| visit.by).chain([action]).collect());
            }
        }
    }
    Ok(seen.len())
}

/// States that differ by the activators' numbers alone count as one: a run that came back to one of them could
/// come back to itself by doing the same again.
fn key(state: &State) -> u64 {
    let mut hasher = DefaultHasher::new();
    sorted(state).hash(&mut hasher);
    hasher.finish()
}
