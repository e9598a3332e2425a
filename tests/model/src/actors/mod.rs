//! What each actor does: every action as a function that changes the state, or returns `None` where it is
//! not possible.

mod activator;
mod api;
mod attempt;
mod bypass;
mod client;
mod leader;
mod life;

use reveille_core::invariants::Promise;

use crate::state::{Flaws, State};

impl Flaws {
    /// Whether that promise was broken on the way here.
    pub fn has(self, promise: Promise) -> bool {
        self.0 & 1 << promise as u8 != 0
    }

    fn note(&mut self, promise: Promise) {
        self.0 |= 1 << promise as u8;
    }
}

impl State {
    /// Whether that pod was told to stop by a commit that counts as its own end.
    fn is_excused(&self, history: u8) -> bool {
        self.api.excused_pods & 1 << (history / 2) != 0
    }
}
