//! The four phases of an app, and which may follow which.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::schema;

/// Where an app stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema, ToSchema)]
#[schemars(transform = schema::undescribed)]
pub enum Phase {
    /// Zero replicas. The next request wakes it.
    Asleep,
    /// A wake is in progress; requests are held.
    Waking,
    /// At least one replica can answer.
    Awake,
    /// The sleep protocol is in progress, or the last replica is still stopping; requests are held.
    FallingAsleep,
}

impl Phase {
    /// Every phase, in the order of a day.
    pub const ALL: [Self; 4] = [Self::Asleep, Self::Waking, Self::Awake, Self::FallingAsleep];

    /// The name as users see it in tables, JSON and metric labels.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Asleep => "Asleep",
            Self::Waking => "Waking",
            Self::Awake => "Awake",
            Self::FallingAsleep => "FallingAsleep",
        }
    }

    /// Whether `next` may follow directly.
    ///
    /// ```text
    /// Asleep -> Waking -> Awake -> FallingAsleep -> Asleep
    ///              |        |            |
    ///              |        |            +-> Awake   (aborted: somebody called)
    ///              |        +-> Waking | Asleep      (the app died)
    ///              +-> Asleep | FallingAsleep        (the wake failed)
    /// ```
    pub fn may_become(self, next: Self) -> bool {
        use Phase::{Asleep, Awake, FallingAsleep, Waking};
        matches!(
            (self, next),
            (Asleep, Waking)
                | (Waking, Awake | Asleep | FallingAsleep)
                | (Awake, FallingAsleep | Waking | Asleep)
                | (FallingAsleep, Asleep | Awake | Waking)
        ) || self == next
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
