//! Readers that keep up, fall behind, come back, and come from another run.

use std::time::Duration;

use proptest::prelude::*;
use reveille_core::phase::Phase;
use serde_json::{Value, json};
use tokio::time::timeout;

use super::*;

fn status(name: &str, phase: Phase, different: &Value) -> AppStatus {
    let mut json = json!({
        "namespace": "local", "name": name, "phase": phase, "since": "2026-01-02T03:00:00Z", "replicas": 0,
        "inFlight": 0, "held": 0, "ttl": "30s", "listen": [], "wakeOnRequest": true,
    });
    for (field, value) in different.as_object().unwrap() {
        json[field] = value.clone();
    }
    serde_json::from_value(json).unwrap()
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

async fn read(reader: &mut Reader) -> Option<Arc<Event>> {
    timeout(Duration::from_secs(1), reader.next()).await.expect("it does not wait")
}

#[tokio::test(start_paused = true)]
async fn each_difference_is_an_event_of_its_kind_and_none_is_none() {
    let feed = Feed::new();
    let (mut reader, start) = feed.reader(None).unwrap();
    assert!(matches!(start, Start::Anew { .. }));
    let wake = json!({"id": "web-000001", "trigger": "request", "started": "2026-01-02T03:00:00Z", "steps": [], "etaMs": 50});
    let mut further = wake.clone();
    further["steps"] = json!([{"step": "Requested", "afterMs": 0}]);
    let mut later = further.clone();
    later["etaMs"] = json!(10);
    for (second, phase, different, kind) in [
        (0, Phase::Asleep, json!({}), Some(Kind::Changed)),
        (1, Phase::Asleep, json!({}), None),
        (2, Phase::Waking, json!({"wake": wake, "held": 3}), Some(Kind::Phase)),
        (3, Phase::Waking, json!({"wake": further, "held": 3}), Some(Kind::Wake)),
        (4, Phase::Waking, json!({"wake": later, "held": 3}), None),
        (5, Phase::Waking, json!({"wake": later, "held": 4}), Some(Kind::Counts)),
        (6, Phase::Awake, json!({"wake": later, "sleepsInMs": 9_000}), Some(Kind::Phase)),
        (7, Phase::Awake, json!({"wake": later, "sleepsInMs": 8_100}), None),
        (8, Phase::Awake, json!({"wake": later, "sleepsInMs": 9_000}), Some(Kind::Counts)),
        (9, Phase::Awake, json!({"wake": later}), Some(Kind::Counts)),
        (10, Phase::Awake, json!({"wake": later, "pending": "x"}), Some(Kind::Changed)),
    ] {
        feed.note(at(second), status("web", phase, &different));
        let read = timeout(Duration::ZERO, reader.next()).await.ok().map(|event| event.unwrap().kind);
        assert_eq!(read, kind, "{second} s");
    }
    feed.gone(at(11), &AppId::local("web"));
    feed.gone(at(11), &AppId::local("none"));
    let gone = read(&mut reader).await.unwrap();
    assert_eq!(
        (gone.kind, &*gone.data),
        (Kind::Gone, r#"{"time":"1970-01-01T00:00:11Z","namespace":"local","name":"web"}"#)
    );
}

#[tokio::test(start_paused = true)]
async fn a_reader_comes_back_to_where_it_was() {
    let feed = Feed::new();
    let (mut reader, start) = feed.reader(None).unwrap();
    let Start::Anew { id } = start else { panic!() };
    let (_, start) = feed.reader(Some(&id)).unwrap();
    assert_eq!(start, Start::Resumed, "nothing has happened, and nothing is missed");
    for held in 0..4 {
        feed.note(at(held), status("web", Phase::Waking, &json!({"held": held})));
    }
    let second = (read(&mut reader).await.unwrap(), read(&mut reader).await.unwrap()).1;
    drop(reader);
    let (mut reader, start) = feed.reader(Some(&second.id)).unwrap();
    assert_eq!(start, Start::Resumed);
    assert!(read(&mut reader).await.unwrap().data.contains(r#""held":2"#));
    let (mut first, _) = feed.reader(Some(&id)).unwrap();
    assert!(read(&mut first).await.unwrap().data.contains(r#""held":0"#));
}

#[tokio::test(start_paused = true)]
async fn one_that_falls_behind_is_let_go_and_begins_anew() {
    let feed = Feed::new();
    let (mut slow, _) = feed.reader(None).unwrap();
    feed.note(at(0), status("web", Phase::Waking, &json!({})));
    let first = read(&mut slow).await.unwrap();
    for held in 1..=RING as i64 + 1 {
        feed.note(at(held), status("web", Phase::Waking, &json!({"held": held})));
    }
    assert_eq!(read(&mut slow).await, None);
    assert!(matches!(feed.reader(Some(&first.id)).unwrap().1, Start::Anew { .. }), "that is no longer kept");
    for other in ["", "-", "x-1", "00000000-1", "ffffffffffff-1", "1", &format!("{}0", first.id), "é"] {
        assert!(matches!(feed.reader(Some(other)).unwrap().1, Start::Anew { .. }), "{other}");
    }
}

#[tokio::test(start_paused = true)]
async fn readers_are_bounded_and_a_close_ends_them() {
    let feed = Feed::new();
    assert!(!feed.is_read());
    let mut readers: Vec<_> = (0..MAX_READERS).map(|_| feed.reader(None).unwrap().0).collect();
    assert_eq!(feed.reader(None).unwrap_err(), NoReader::TooMany);
    let mut one = readers.pop().unwrap();
    let waits = tokio::spawn(async move { one.next().await });
    tokio::task::yield_now().await;
    feed.close();
    assert_eq!(waits.await.unwrap(), None);
    assert_eq!(feed.reader(None).unwrap_err(), NoReader::Closed);
    feed.note(at(0), status("web", Phase::Waking, &json!({})));
    drop(readers);
    assert!(!feed.is_read());
}

#[tokio::test]
async fn after_a_new_beginning_every_reader_begins_anew() {
    let feed = Feed::new();
    let (mut reader, _) = feed.reader(None).unwrap();
    let time = Timestamp::UNIX_EPOCH;
    feed.note(time, status("web", Phase::Asleep, &json!({})));
    let seen = reader.next().await.unwrap();
    feed.begin_anew();
    assert_eq!(reader.next().await, None);
    let (mut again, start) = feed.reader(Some(&seen.id)).unwrap();
    assert!(matches!(start, Start::Anew { .. }));
    feed.note(time, status("web", Phase::Asleep, &json!({})));
    assert_eq!(again.next().await.unwrap().app.name.as_ref(), "web", "it is news again");
}

#[test]
fn wakes_and_errors_are_remembered_once_each_and_the_newest_come_first() {
    let feed = Feed::new();
    let wake = |number: u32, outcome: Value| {
        json!({"wake": {"id": format!("web-{number:06}"), "trigger": "1 request", "started": "2026-01-02T03:00:00Z",
            "steps": [{"step": "Requested", "afterMs": 0}], "outcome": outcome}})
    };
    let failed = json!({"result": "failed", "kind": "exitedEarly", "reason": "code 1"});
    for number in 1..=30 {
        let outcome = if number == 30 { failed.clone() } else { json!({"result": "ready"}) };
        let status = status("web", Phase::Asleep, &wake(number, outcome));
        feed.note(at(number.into()), status.clone());
        feed.note(at(number.into()), status);
    }
    let problem = json!({"problem": "TargetNotFound: there is none"});
    feed.note(at(40), status("web", Phase::Asleep, &problem));
    feed.note(at(41), status("web", Phase::Awake, &problem));
    let history = feed.history(&AppId::local("web"));
    let ids: Vec<_> = history.wakes.iter().map(|wake| wake.id.as_str()).collect();
    assert_eq!((ids.len(), ids[0], ids[9]), (10, "web-000030", "web-000021"));
    let errors: Vec<_> = history.errors.iter().map(|error| error.what.as_str()).collect();
    assert_eq!(errors, ["TargetNotFound: there is none", "a wake failed: code 1"]);
    feed.gone(at(50), &AppId::local("web"));
    assert_eq!(feed.history(&AppId::local("web")), AppHistory::default());
}

proptest! {
    #[test]
    fn any_last_id_begins_anew_or_goes_on_where_it_says(
        id in prop_oneof!["\\PC{0,30}", "[0-9a-f]{0,20}-[0-9a-f+-]{0,20}", Just(String::new())],
        own in prop_oneof![any::<u64>(), 0_u64..12, (u64::MAX - 3)..=u64::MAX],
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let feed = Feed::new();
            for n in 0..8_u32 {
                feed.note(at(n.into()), status("web", Phase::Awake, &json!({"held": n})));
            }
            // Of another run: such an id cannot be told from nonsense.
            let (_, start) = feed.reader(Some(&id)).unwrap();
            let anew = matches!(start, Start::Anew { .. });
            prop_assert!(anew || id.starts_with(&format!("{:08x}-", feed.boot)), "{}", id);
            let (mut reader, start) = feed.reader(Some(&feed.id(own))).unwrap();
            let known = own < 8 || own == u64::MAX;
            prop_assert_eq!(matches!(start, Start::Resumed), known, "{}", own);
            let next = timeout(Duration::ZERO, reader.next()).await.ok().flatten().map(|event| event.id.clone());
            let wanted = Some(own.wrapping_add(1)).filter(|next| known && *next < 8).map(|next| feed.id(next));
            prop_assert_eq!(next, wanted);
            Ok(())
        })?;
    }
}
