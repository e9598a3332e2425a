//! The stream of events: server-sent events (HTML standard, section 9.2), for as long as the client reads.

use std::{convert::Infallible, time::Duration};

use axum::{
    extract::State,
    response::sse::{Event, KeepAlive, Sse},
};
use futures_util::{Stream, StreamExt, stream};
use http::{HeaderMap, HeaderName};
use reveille_core::api::ProblemBody;

use super::{
    ApiState,
    apps::visible,
    caller::Caller,
    problem::{Kind, Problem},
};
use crate::feed::{self, Reader, Start};

/// After so long without an event a comment is sent, so that both sides notice when the other is gone.
const HEARTBEAT: Duration = Duration::from_secs(10);

/// How long a client waits before it comes back.
const COME_BACK_AFTER: Duration = Duration::from_secs(2);

/// The id of the last event that a client has.
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// What happens, as it happens
///
/// Server-sent events. The first is `apps`, with every app as it stands (`AppList`), unless `Last-Event-ID` names an event
/// that is still kept: then those that came after it. Then, as each happens, with the app as it stands after it
/// (`AppEvent`): `phase` (another phase), `wake` (a step, or the end of a wake), `counts` (held and in flight),
/// `changed` (anything else), and `gone` (`AppGone`). A comment comes after 10 s without any. A client that reads too
/// slowly is let go, and begins anew when it comes back.
#[utoipa::path(get, path = "/api/v1/events", tag = "apps", operation_id = "events",
    params(("Last-Event-ID" = Option<String>, Header, description = "The id of the last event that is known")),
    responses(
        (status = 200, description = "Events, until one side has enough", body = String, content_type = "text/event-stream",
            example = "event: phase\nid: 9f2c1a77-1e\ndata: {\"time\":\"2026-11-25T12:00:00Z\",\"app\":{\"namespace\":\"local\",\"name\":\"web\",\"phase\":\"Waking\"}}\n\n"),
        (status = 503, description = "There are too many streams, or Reveille is stopping", body = ProblemBody, content_type = "application/problem+json"),
    ))]
pub(super) async fn events(
    State(state): State<ApiState>,
    caller: Caller,
    headers: HeaderMap,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Problem> {
    let after = headers.get(LAST_EVENT_ID).and_then(|id| id.to_str().ok());
    // The reader first: what happens while the apps are listed is told after them.
    let (reader, start) = state.feed.reader(after)?;
    let first = match start {
        Start::Resumed => Event::default().comment("resumed"),
        Start::Anew { id } => {
            let apps = serde_json::to_string(&visible(&state, &caller).await).map_err(|error| {
                Problem::new(Kind::Internal, format!("the apps cannot be written: {error}"))
            })?;
            Event::default().event("apps").id(id).data(apps)
        }
    };
    let first = first.retry(COME_BACK_AFTER);
    let rest = stream::unfold((reader, state, caller), next);
    let events = stream::iter([first]).chain(rest).map(Ok);
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(HEARTBEAT).text("still here")))
}

/// The next event that the caller may see, as long as its key is good.
async fn next(of: (Reader, ApiState, Caller)) -> Option<(Event, (Reader, ApiState, Caller))> {
    let (mut reader, state, caller) = of;
    loop {
        let event = reader.next().await?;
        if caller.key.as_ref().is_some_and(|key| !state.access.holds(key)) {
            return None;
        }
        if caller.may_read(&event.app.namespace) {
            return Some((sse(&event), (reader, state, caller)));
        }
    }
}

fn sse(event: &feed::Event) -> Event {
    Event::default().event(event.kind.as_str()).id(&event.id).data(&event.data)
}
