//! The stream of events.

use http_body_util::BodyExt;

use super::*;
use crate::keys::{Namespaces, Right, new};

const EVENTS: &str = "/api/v1/events";

/// What comes until nothing more does.
async fn read(body: &mut Body) -> String {
    let mut text = String::new();
    while let Ok(Some(frame)) = tokio::time::timeout(Duration::from_millis(1), body.frame()).await {
        text += std::str::from_utf8(frame.unwrap().data_ref().unwrap()).unwrap();
    }
    text
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn id_of(text: &str) -> String {
    text.lines().rev().find_map(|line| line.strip_prefix("id: ")).expect("it has an id").to_owned()
}

#[tokio::test(start_paused = true)]
async fn it_begins_with_every_app_and_tells_what_happens() {
    let apps = Arc::new(FakeApps::default());
    let router = router_of(apps.clone());
    let response = router.clone().oneshot(request("GET", EVENTS, &[], "")).await.unwrap();
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    assert_eq!(response.headers()["cache-control"], "no-store");
    let mut body = response.into_body();
    let first = read(&mut body).await;
    assert!(first.contains("event: apps\n") && first.contains("retry: 2000\n"), "{first}");
    assert!(first.contains(r#""name":"web""#), "{first}");
    let web = AppId::local("web");
    apps.feed.note(at(1), status(&web, Phase::Waking));
    let told = read(&mut body).await;
    assert!(told.starts_with("event: changed\nid: ") && told.contains(r#""phase":"Waking""#), "{told}");
    let id = id_of(&told);
    tokio::time::advance(Duration::from_secs(11)).await;
    assert_eq!(read(&mut body).await, ": still here\n\n");
    drop(body);

    apps.feed.note(at(2), status(&web, Phase::Awake));
    apps.feed.gone(at(3), &web);
    let again = request("GET", EVENTS, &[("last-event-id", &id)], "");
    let mut body = router.clone().oneshot(again).await.unwrap().into_body();
    let told = read(&mut body).await;
    assert!(!told.contains("event: apps"), "{told}");
    assert!(told.contains("event: phase\n") && told.contains("event: gone\n"), "{told}");
    let stranger = request("GET", EVENTS, &[("last-event-id", "00000000-7")], "");
    let mut body = router.clone().oneshot(stranger).await.unwrap().into_body();
    assert!(read(&mut body).await.contains("event: apps\n"));

    apps.feed.close();
    assert!(body.frame().await.is_none(), "it ends with Reveille");
    problem(router.oneshot(request("GET", EVENTS, &[], "")).await.unwrap(), 503).await;
}

#[tokio::test(start_paused = true)]
async fn a_key_sees_its_namespaces_and_as_long_as_it_is_good() {
    let key = new("ml", Namespaces::These(vec!["ml".into()]), Right::Read).unwrap();
    let ring = KeyRing::new(vec![key.kept]);
    let apps = Arc::new(FakeApps { keys: Some(ring.clone()), ..FakeApps::default() });
    let bearer = format!("Bearer {}", key.told);
    let request = request("GET", EVENTS, &[("authorization", &bearer)], "");
    let mut body = router_of(apps.clone()).oneshot(request).await.unwrap().into_body();
    assert!(!read(&mut body).await.contains("local"));
    apps.feed.note(at(1), status(&AppId::local("web"), Phase::Waking));
    apps.feed.note(at(1), status(&AppId::new("ml", "triton"), Phase::Waking));
    let told = read(&mut body).await;
    assert!(told.contains("triton") && !told.contains("web"), "{told}");
    ring.replace(Vec::new());
    apps.feed.note(at(2), status(&AppId::new("ml", "triton"), Phase::Awake));
    assert!(body.frame().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn nobody_takes_all_connections() {
    let apps = Arc::new(FakeApps::default());
    let router = router_of(apps.clone());
    let mut streams = Vec::new();
    for _ in 0..crate::feed::MAX_READERS {
        let stream = router.clone().oneshot(request("GET", EVENTS, &[], "")).await.unwrap();
        assert_eq!(stream.status(), 200);
        streams.push(stream);
    }
    let one_more = router.clone().oneshot(request("GET", EVENTS, &[], "")).await.unwrap();
    assert_eq!(one_more.headers()["retry-after"], "1");
    problem(one_more, 503).await;
    streams.pop();
    let freed = router.oneshot(request("GET", EVENTS, &[], "")).await.unwrap();
    assert_eq!(freed.status(), 200);
}
