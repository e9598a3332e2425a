//! An event on a line, for those who read them one after the other.

use reveille_core::{api::AppStatus, phase::Phase, wake::Outcome};

use super::board::News;
use crate::{args::short_name, output::printable};

/// The line: time, app, what happened.
pub(super) fn line(news: &News) -> String {
    let (time, app, what) = match news {
        News::There(time, status) => (time, &status.id, status.phase.to_string()),
        News::Gone(gone) => (&gone.time, &gone.app, "gone".to_owned()),
        News::Changed { time, kind, now, .. } => (time, &now.id, what(kind, now)),
    };
    printable(&format!("{time:.3} {} {what}", short_name(app)))
}

fn what(kind: &str, app: &AppStatus) -> String {
    match kind {
        "phase" => match (&app.wake, app.phase) {
            (Some(wake), Phase::Waking) => format!("Waking (wake {}, by {})", wake.id, wake.trigger),
            _ => match failure(app).filter(|_| app.phase != Phase::Awake) {
                Some(reason) => format!("{}: {reason}", app.phase),
                None => app.phase.to_string(),
            },
        },
        "wake" => wake(app),
        "counts" => format!("{} in flight, {} held", app.in_flight, app.held),
        _ => "changed".to_owned(),
    }
}

fn failure(app: &AppStatus) -> Option<&str> {
    match &app.wake.as_ref()?.outcome {
        Some(Outcome::Failed(failure)) => Some(&failure.reason),
        _ => None,
    }
}

/// Where the wake stands.
fn wake(app: &AppStatus) -> String {
    let Some(wake) = &app.wake else { return "changed".to_owned() };
    match (&wake.outcome, wake.steps.last()) {
        (Some(Outcome::Failed(failure)), _) => format!("wake {} failed: {}", wake.id, failure.reason),
        (_, Some(at)) => format!("wake {}: {} after {} ms", wake.id, at.step, at.after_ms),
        (_, None) => format!("wake {}", wake.id),
    }
}
