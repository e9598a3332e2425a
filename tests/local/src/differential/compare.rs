//! What differs between two outcomes, apart from what is allowed to.

mod rules;
#[cfg(test)]
mod tests;

use std::{collections::BTreeSet, fmt::Debug};

use super::{
    Route,
    allowed::{Allowed, Side},
    message::{Message, Outcome, Start},
    script::{Case, Field},
};

/// Something that differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// What, such as `response: field vary`: the same for all cases that differ alike.
    pub label: String,
    /// Directly and through the activator.
    pub detail: String,
}

/// What a comparison came to.
#[derive(Clone, Debug, Default)]
pub struct Verdict {
    /// What differs.
    pub differences: Vec<Difference>,
    /// Which of the allowed differences there were, by their place in the list.
    pub used: BTreeSet<usize>,
}

impl Verdict {
    /// Notes a difference unless both are equal.
    fn check<T: PartialEq + Debug>(&mut self, label: impl Into<String>, direct: &T, through: &T) {
        if direct != through {
            let detail = format!("directly {}, through {}", brief(direct), brief(through));
            self.add(label, detail);
        }
    }

    fn add(&mut self, label: impl Into<String>, detail: impl Into<String>) {
        self.differences.push(Difference { label: label.into(), detail: detail.into() });
    }
}

/// How much of a long value is told here; the messages follow in full.
const TOLD: usize = 160;

fn brief(value: &impl Debug) -> String {
    // Debug has escaped what is not ASCII already, or left it as it reads.
    let text = format!("{value:?}");
    let start: String = text.chars().take(TOLD).collect();
    if start.len() == text.len() { text } else { format!("{start}[...]") }
}

/// Compares what came of a case on both ways.
pub fn compare(
    case: &Case,
    route: Route,
    allowed: &[Allowed],
    direct: &Outcome,
    through: &Outcome,
) -> Verdict {
    let mut verdict = Verdict::default();
    match (&direct.seen[..], &through.seen[..]) {
        ([one], [other]) => {
            pair((case, route, allowed), Side::Request, one.clone(), other.clone(), &mut verdict);
        }
        (one, other) => verdict.check("request: how often it came", &one.len(), &other.len()),
    }
    match (&direct.answer, &through.answer) {
        (Ok(one), Ok(other)) => {
            pair((case, route, allowed), Side::Response, one.clone(), other.clone(), &mut verdict);
        }
        (Err(error), _) => verdict.add("the harness: no answer directly", error),
        (_, Err(error)) => verdict.add("response: none, or a faulty one", error),
    }
    verdict
}

/// Compares two messages that were received at the same end.
fn pair(
    (case, route, allowed): (&Case, Route, &[Allowed]),
    side: Side,
    mut direct: Message,
    mut through: Message,
    verdict: &mut Verdict,
) {
    let place = match side {
        Side::Request => "request",
        Side::Response => "response",
    };
    for (index, allowed) in allowed.iter().enumerate() {
        if allowed.side == side && (allowed.when)(case, route) {
            let before = (direct.clone(), through.clone());
            match allowed.rule.apply(case, route, side, &mut direct, &mut through) {
                Ok(()) => {}
                Err((what, detail)) => verdict.add(format!("{place}: {what}"), detail),
            }
            if before != (direct.clone(), through.clone()) {
                verdict.used.insert(index);
            }
        }
    }
    verdict.check(format!("{place}: version"), &direct.version, &through.version);
    match (&direct.start, &through.start) {
        (Start::Request { method, target }, Start::Request { method: method2, target: target2 }) => {
            verdict.check(format!("{place}: method"), method, method2);
            verdict.check(format!("{place}: target"), target, target2);
        }
        (Start::Response { status, reason }, Start::Response { status: status2, reason: reason2 }) => {
            verdict.check(format!("{place}: status"), status, status2);
            verdict.check(format!("{place}: reason"), reason, reason2);
        }
        (one, other) => verdict.check(format!("{place}: kind"), one, other),
    }
    verdict.check(format!("{place}: interim answers"), &direct.interim, &through.interim);
    fields(&format!("{place}: field"), &direct.fields, &through.fields, verdict);
    verdict.check(format!("{place}: framing"), &direct.framing, &through.framing);
    verdict.check(format!("{place}: length of the body"), &direct.length, &through.length);
    if direct.length == through.length {
        verdict.check(format!("{place}: bytes of the body"), &direct.hash, &through.hash);
    }
    verdict.check(format!("{place}: trailers"), &direct.trailers, &through.trailers);
}

/// Compares field by field, then the order of all.
fn fields(place: &str, direct: &[Field], through: &[Field], verdict: &mut Verdict) {
    if direct == through {
        return;
    }
    let names: BTreeSet<&str> = direct.iter().chain(through).map(|(name, _)| name.as_str()).collect();
    let before = verdict.differences.len();
    for name in names {
        let values = |fields: &[Field]| -> Vec<String> {
            fields.iter().filter(|(key, _)| key == name).map(|(_, value)| value.clone()).collect()
        };
        verdict.check(format!("{place} {name}"), &values(direct), &values(through));
    }
    if verdict.differences.len() == before {
        let names =
            |fields: &[Field]| -> Vec<String> { fields.iter().map(|(name, _)| name.clone()).collect() };
        verdict.check(format!("{place} order"), &names(direct), &names(through));
    }
}
