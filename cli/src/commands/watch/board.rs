//! What is known of the apps while they are watched: first all of them, then each as an event says.

use std::{collections::BTreeMap, time::Duration};

use jiff::{SignedDuration, Timestamp};
use reveille_core::{
    api::{AppEvent, AppGone, AppList, AppStatus},
    app::AppId,
};
use tokio::time::Instant;

use crate::{
    client::SseEvent,
    commands::status::overview,
    output::{
        color::{Paint, Palette},
        printable,
        table::{Cut, cut},
    },
};

/// See the [module](self).
#[derive(Debug, Default)]
pub(super) struct Board {
    apps: BTreeMap<AppId, Known>,
    /// The server's clock at the last event, and when that came by ours: the two may differ by anything.
    clock: Option<(Timestamp, Instant)>,
}

#[derive(Debug)]
struct Known {
    status: AppStatus,
    /// When it was so, by the server's clock.
    at: Timestamp,
}

/// What an event says that was not known.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum News {
    /// An app as it stands at the beginning.
    There(Timestamp, Box<AppStatus>),
    /// Something of that kind happened to it.
    Changed { time: Timestamp, kind: String, now: Box<AppStatus> },
    /// It is no longer there.
    Gone(AppGone),
}

impl Board {
    /// Takes an event over. One of a kind that is not known says nothing: it is of a later version.
    pub(super) fn take(&mut self, event: &SseEvent) -> Vec<News> {
        match event.name.as_str() {
            "apps" => serde_json::from_str(&event.data).map(|list| self.begin(list)).unwrap_or_default(),
            "gone" => {
                let Ok(gone) = serde_json::from_str::<AppGone>(&event.data) else { return Vec::new() };
                self.clock = Some((gone.time, Instant::now()));
                self.apps.remove(&gone.app).map(|_| News::Gone(gone)).into_iter().collect()
            }
            kind => {
                let Ok(AppEvent { time, app }) = serde_json::from_str(&event.data) else { return Vec::new() };
                self.clock = Some((time, Instant::now()));
                let now = Box::new(app.clone());
                self.apps.insert(app.id.clone(), Known { status: app, at: time });
                vec![News::Changed { time, kind: kind.to_owned(), now }]
            }
        }
    }

    fn begin(&mut self, list: AppList) -> Vec<News> {
        self.clock = Some((list.time, Instant::now()));
        let known = |status: &AppStatus| Known { status: status.clone(), at: list.time };
        self.apps = list.apps.iter().map(|status| (status.id.clone(), known(status))).collect();
        list.apps.into_iter().map(|status| News::There(list.time, Box::new(status))).collect()
    }

    /// The table as it is now, at most so high.
    pub(super) fn lines(
        &self,
        width: usize,
        height: usize,
        palette: Palette,
        lost: Option<&str>,
    ) -> Vec<String> {
        let Some((time, came)) = self.clock else { return vec!["waiting for the first event".to_owned()] };
        let elapsed = SignedDuration::try_from(came.elapsed()).unwrap_or_default();
        let now = time.checked_add(elapsed).unwrap_or(time);
        // Without a connection nothing is known to have changed, not even what time changes.
        let now = if lost.is_some() { time } else { now };
        let apps = self.apps.values().map(|known| known.at(now)).collect();
        let mut lines = overview(&AppList { time: now, apps }, width, palette);
        let last = match lost {
            Some(why) => palette.paint(
                Paint::Bad,
                &cut(&printable(&format!("connection lost, connecting again: {why}")), width, Cut::KeepStart),
            ),
            None => palette.paint(
                Paint::Dim,
                &cut(
                    &format!("apps: {}, as of {now:.0}; Ctrl-C ends this", self.apps.len()),
                    width,
                    Cut::KeepStart,
                ),
            ),
        };
        // The last line of the terminal is where the cursor stands.
        let room = height.saturating_sub(2).max(1);
        if lines.len() > room {
            let hidden = lines.len() - (room - 1);
            lines.truncate(room - 1);
            let hint = format!("… {hidden} more lines; make the terminal higher");
            lines.push(cut(&hint, width, Cut::KeepStart));
        }
        lines.push(last);
        lines
    }
}

impl Known {
    /// The status with its countdowns as they are at that time.
    fn at(&self, now: Timestamp) -> AppStatus {
        let passed = Duration::try_from(now.duration_since(self.at)).unwrap_or_default();
        let passed = u64::try_from(passed.as_millis()).unwrap_or(u64::MAX);
        let left = |millis: Option<u64>| millis.map(|millis| millis.saturating_sub(passed));
        let status = self.status.clone();
        AppStatus { sleeps_in_ms: left(status.sleeps_in_ms), retry_in_ms: left(status.retry_in_ms), ..status }
    }
}
