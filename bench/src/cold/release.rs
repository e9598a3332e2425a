//! A thousand requests that waited for one wake, let go: from the moment at which the app listens to their answers.

use super::{APP, Rig, STREAMS, millis};
use crate::{
    Wanted, clock,
    crowd::{Answer, Crowd, Over},
    error::{Error, Result},
    measure::{Measure, median},
    reveille::How,
    sleeper_server::{Gate, Start},
};

/// As many as one app holds by default.
const COUNT: usize = 1_000;
/// How long they wait, once all are held.
const WAIT: std::time::Duration = std::time::Duration::from_millis(500);

/// A thousand connections of HTTP/1.1.
pub(crate) fn http1(wanted: &Wanted) -> Result<Vec<Measure>> {
    releases(wanted, Over::Http1)
}

/// A thousand streams of HTTP/2, on ten connections.
pub(crate) fn http2(wanted: &Wanted) -> Result<Vec<Measure>> {
    releases(wanted, Over::Http2 { streams: STREAMS })
}

fn releases(wanted: &Wanted, over: Over) -> Result<Vec<Measure>> {
    let gate = Gate::new(&wanted.folder)?;
    let rig = Rig::start(wanted, Start::WhenLet(&gate), "wake: {deadline: 1m}", How::default())?;
    let (mut first, mut half, mut last, mut awake) = (vec![], vec![], vec![], vec![]);
    let mut connections = vec![];
    for _ in 0..wanted.rounds {
        let crowd = rig.hold(over, COUNT, 0)?;
        clock::pause(WAIT);
        gate.open()?;
        let answers = all(crowd)?;
        let listens = answers[0].server.listens;
        let reached = answers.iter().map(|it| it.server.reached).min().unwrap_or_default();
        let came: Vec<f64> = answers.iter().map(|it| millis(listens, it.came)).collect();
        first.push(millis(listens, reached));
        half.push(median(&came));
        last.push(most(&came));
        // Those that probed the app are among them.
        connections.push(most(&answers.iter().map(|it| it.server.connection as f64).collect::<Vec<_>>()));
        // The same again while it is awake: what load, server and passing on need by themselves.
        let answers = all(Crowd::start(over, rig.port, COUNT))?;
        let sent = answers.iter().map(|it| it.sent).min().unwrap_or_default();
        awake.push(most(&answers.iter().map(|it| millis(sent, it.came)).collect::<Vec<_>>()));
        rig.admin().sleep(APP)?;
    }
    Ok(vec![
        Measure::new("listens to the first that is let go", "ms", first),
        Measure::new("listens to half of the answers", "ms", half),
        Measure::new("listens to the last answer", "ms", last),
        Measure::new("connections to the app by then", "", connections),
        Measure::new("for comparison: the same 1,000, new, to the app awake", "ms", awake),
    ])
}

fn all(crowd: Crowd) -> Result<Vec<Answer>> {
    let answers = crowd.answers()?;
    if answers.len() == COUNT { Ok(answers) } else { Err(Error::new("a request was not answered")) }
}

fn most(values: &[f64]) -> f64 {
    values.iter().copied().fold(0.0, f64::max)
}
