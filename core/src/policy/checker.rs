//! Collecting everything that is wrong with what was written, field by field.

use std::{fmt, ops::RangeInclusive, time::Duration};

use super::Policy;
use crate::quantity::HumanDuration;

/// One thing that is wrong with what was written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {reason}")]
pub struct Problem {
    /// The field, from the policy's root, such as `idle.ttl` or `probes.paths[2]`.
    pub field: String,
    /// What is wrong and what would be right.
    pub reason: String,
}

/// Collects problems.
#[derive(Default)]
pub(super) struct Checker {
    problems: Vec<Problem>,
}

impl Checker {
    pub(super) fn problem(&mut self, field: impl Into<String>, reason: impl Into<String>) {
        self.problems.push(Problem { field: field.into(), reason: reason.into() });
    }

    pub(super) fn range<T: PartialOrd + fmt::Display + Copy>(
        &mut self,
        field: &str,
        value: T,
        range: RangeInclusive<T>,
    ) {
        if !range.contains(&value) {
            self.problem(field, format!("{value} is out of range: {} to {}", range.start(), range.end()));
        }
    }

    pub(super) fn duration(
        &mut self,
        field: &str,
        value: Option<HumanDuration>,
        range: RangeInclusive<Duration>,
    ) -> Option<Duration> {
        let value = value?;
        self.range(field, value, HumanDuration(*range.start())..=HumanDuration(*range.end()));
        Some(value.0)
    }

    /// `policy` if nothing was found wrong.
    pub(super) fn finish(self, policy: Policy) -> Result<Policy, Vec<Problem>> {
        if self.problems.is_empty() { Ok(policy) } else { Err(self.problems) }
    }
}
