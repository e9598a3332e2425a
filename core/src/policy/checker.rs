//! Collecting everything that is wrong with what was written, field by field.

use std::{fmt, ops::RangeInclusive, time::Duration};

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
pub(crate) struct Checker {
    problems: Vec<Problem>,
}

impl Checker {
    pub(crate) fn problem(&mut self, field: impl Into<String>, reason: impl Into<String>) {
        self.problems.push(Problem { field: field.into(), reason: reason.into() });
    }

    pub(crate) fn range<T: PartialOrd + fmt::Display + Copy>(
        &mut self,
        field: &str,
        value: T,
        range: RangeInclusive<T>,
    ) {
        if !range.contains(&value) {
            self.problem(field, format!("{value} is out of range: {} to {}", range.start(), range.end()));
        }
    }

    pub(crate) fn duration(
        &mut self,
        field: &str,
        value: Option<HumanDuration>,
        range: RangeInclusive<Duration>,
    ) -> Option<Duration> {
        let value = value?;
        self.range(field, value, HumanDuration(*range.start())..=HumanDuration(*range.end()));
        Some(value.0)
    }

    /// A path to ask for, with a query if need be.
    pub(crate) fn path(&mut self, field: &str, path: &str) {
        let valid = path.starts_with('/') && path.bytes().all(|b| b.is_ascii_graphic() && b != b'#');
        if !valid {
            self.problem(field, format!("{path:?} is no path: it begins with '/' and has no blanks"));
        }
    }

    /// Adds what was found elsewhere.
    pub(crate) fn extend(&mut self, problems: Vec<Problem>) {
        self.problems.extend(problems);
    }

    /// `value` if nothing was found wrong.
    pub(crate) fn finish<T>(self, value: T) -> Result<T, Vec<Problem>> {
        if self.problems.is_empty() { Ok(value) } else { Err(self.problems) }
    }
}
