//! What a case of Reveille alone comes to: named figures, each over its rounds, beside the target that it is held
//! against.

use serde::Serialize;

use crate::error::Result;

/// A figure.
#[derive(Serialize)]
pub(crate) struct Measure {
    pub(crate) name: String,
    pub(crate) unit: &'static str,
    pub(crate) value: f64,
    pub(crate) rounds: Vec<f64>,
    pub(crate) target: Option<Target>,
}

/// What it must not be above, and what would be better still.
#[derive(Clone, Copy, Serialize)]
pub(crate) struct Target {
    pub(crate) floor: f64,
    pub(crate) aim: Option<f64>,
}

impl Measure {
    /// The median of the rounds.
    pub(crate) fn new(name: impl Into<String>, unit: &'static str, rounds: Vec<f64>) -> Self {
        let value = median(&rounds);
        Self { name: name.into(), unit, value, rounds, target: None }
    }

    /// A quantile of all values together; that of each round for itself tells how steady it is.
    pub(crate) fn quantile(
        name: impl Into<String>,
        unit: &'static str,
        share: f64,
        rounds: &[Vec<f64>],
    ) -> Self {
        let each = rounds.iter().map(|values| quantile(values, share)).collect();
        let value = quantile(&rounds.concat(), share);
        Self { value, ..Self::new(name, unit, each) }
    }

    /// Holds it against a target, if there is one.
    #[must_use]
    pub(crate) fn at_most(mut self, floor: Option<f64>, aim: Option<f64>) -> Self {
        self.target = floor.map(|floor| Target { floor, aim });
        self
    }

    /// How it stands to its target, in a word.
    pub(crate) fn verdict(&self) -> &'static str {
        match self.target {
            None => "",
            Some(Target { aim: Some(aim), .. }) if self.value <= aim => "aim met",
            Some(Target { floor, .. }) if self.value <= floor => "met",
            Some(_) => "missed",
        }
    }
}

/// Measures two in turns, each round beginning with the other one.
pub(crate) fn in_turns<T>(
    rounds: usize,
    mut one: impl FnMut() -> Result<T>,
    mut other: impl FnMut() -> Result<T>,
) -> Result<(Vec<T>, Vec<T>)> {
    let (mut ones, mut others) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        if round % 2 == 1 {
            others.push(other()?);
        }
        ones.push(one()?);
        if round % 2 == 0 {
            others.push(other()?);
        }
    }
    Ok((ones, others))
}

/// The middle one, or between the middle two.
pub(crate) fn median(values: &[f64]) -> f64 {
    let sorted = sorted(values);
    let (below, above) = (sorted.len().saturating_sub(1) / 2, sorted.len() / 2);
    match (sorted.get(below), sorted.get(above)) {
        (Some(below), Some(above)) => f64::midpoint(*below, *above),
        _ => f64::NAN,
    }
}

/// The least value that so large a share of all does not exceed.
pub(crate) fn quantile(values: &[f64], share: f64) -> f64 {
    let sorted = sorted(values);
    let rank = (sorted.len() as f64 * share).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or(f64::NAN)
}

fn sorted(values: &[f64]) -> Vec<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    sorted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_values_that_were_measured_and_medians_lie_in_the_middle() {
        let values: Vec<f64> = (1..=200).rev().map(f64::from).collect();
        assert_eq!(quantile(&values, 0.5), 100.0);
        assert_eq!(quantile(&values, 0.99), 198.0);
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), 2.5);
    }

    #[test]
    fn a_figure_is_held_against_floor_and_aim() {
        let measure = |value: f64| Measure::new("m", "ms", vec![value]).at_most(Some(5.0), Some(2.0));
        assert_eq!(
            [1.0, 2.0, 5.0, 5.1].map(|value| measure(value).verdict()),
            ["aim met", "aim met", "met", "missed"]
        );
        assert_eq!(Measure::new("m", "ms", vec![1.0]).verdict(), "");
    }
}
