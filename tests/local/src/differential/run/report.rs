//! What is printed about cases that differ.

use super::{Differing, Plan, Ways};
use crate::differential::{
    compare::Verdict,
    h1,
    message::{Outcome, shown},
    script::{Body, Case, Framing, latin1},
    wire,
};

pub(super) fn title(plan: Plan, ways: Ways, count: usize) -> String {
    format!("\n{count} cases of seed {} differ ({:?})\n", plan.seed, ways.route)
}

/// One kind of difference: the first case in full, and the smallest that was found.
pub(super) fn kind(
    test: &str,
    plan: Plan,
    label: &str,
    cases: &[&Differing],
    smallest: &Case,
    result: (Outcome, Outcome, Verdict),
) -> String {
    let first = cases[0];
    let mut text = format!("\n======== {label}: {} cases, first in case {}\n", cases.len(), first.number);
    let (seed, number) = (plan.seed, first.number);
    text += &format!(
        "again: REVEILLE_DIFF_SEED={seed} REVEILLE_DIFF_CASE={number} cargo test -p reveille-tests-local -- {test}\n"
    );
    text += &differences(&first.verdict);
    text += &both(&first.direct, &first.through);
    let (direct, through, verdict) = result;
    text += "---- the smallest that was found, on connections of its own\n";
    text += &script(smallest);
    if verdict.differences.is_empty() {
        text += "---- it is equal there: connections used before have a part in it\n";
    }
    text += &differences(&verdict);
    text += &both(&direct, &through);
    text
}

fn differences(verdict: &Verdict) -> String {
    verdict.differences.iter().map(|found| format!("  {}: {}\n", found.label, found.detail)).collect()
}

fn both(direct: &Outcome, through: &Outcome) -> String {
    let mut text = String::new();
    for (way, outcome) in [("directly", direct), ("through", through)] {
        for seen in &outcome.seen {
            text += &format!("---- {way}, the app saw\n{seen}");
        }
        match &outcome.answer {
            Ok(answer) => text += &format!("---- {way}, the client got\n{answer}"),
            Err(error) => text += &format!("---- {way}, the client got no answer: {error}\n"),
        }
    }
    text
}

/// A case as it would be written in HTTP/1.1.
fn script(case: &Case) -> String {
    let (request, response) = (&case.request, &case.response);
    let mut fields = response.fields.clone();
    fields.extend(wire::framing_field(&response.body));
    let head = wire::head(&format!("HTTP/1.1 {} {}", response.status, response.reason), &fields);
    let refuses = if response.refuses { " (instead of 100 Continue)" } else { "" };
    format!(
        "{}{}---- which is answered{refuses}, after {:?}\n{}{}",
        lines(&h1::head(request, "case")),
        body(&request.body),
        response.interim,
        lines(&head),
        body(&response.body)
    )
}

fn lines(head: &[u8]) -> String {
    let text = latin1(head);
    text.lines().filter(|line| !line.is_empty()).map(|line| format!("  {}\n", shown(line))).collect()
}

fn body(body: &Body) -> String {
    let mut text = match body.framing {
        Framing::None => "  (no body)".to_owned(),
        framing => format!(
            "  ({framing:?}: {} bytes in {} pieces, {} ms apart{})",
            body.length,
            body.pieces,
            body.pause,
            if body.extensions { ", with chunk extensions" } else { "" }
        ),
    };
    for (name, value) in &body.trailers {
        text += &format!("\n  {name}: {} (trailer)", shown(value));
    }
    text + "\n"
}
