//! What is sent to an API server about replicas, and what its answers mean.

use super::*;
use crate::cluster::fixtures::{Asked, api_server, problem, scale};

fn api(answers: impl IntoIterator<Item = (u16, Value)>) -> (KubeScales, Asked) {
    let (client, asked) = api_server(answers);
    (KubeScales::new(client.clone(), Once(client)), asked)
}

fn object() -> (u16, Value) {
    (200, json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}}))
}

fn deployment() -> TargetSpec {
    TargetSpec { api_version: "apps/v1".into(), kind: "Deployment".into(), name: "web".into() }
}

#[tokio::test]
async fn a_count_that_is_left_out_is_0_and_selectors_are_text() {
    let (scales, asked) = api([scale("7", &json!({}))]);
    let read = scales.get("team", &deployment()).await.unwrap();
    let want = Scale { replicas: 0, existing: 2, selector: Some("app=web".into()), version: "7".into() };
    assert_eq!(read, want);
    let path = "/apis/apps/v1/namespaces/team/deployments/web/scale";
    assert!(asked.lock().unwrap()[0].1.starts_with(path), "{asked:?}");
}

#[tokio::test]
async fn a_commit_names_the_version_and_is_sent_once_whatever_is_answered() {
    let unknown =
        [problem(503, "ServiceUnavailable"), problem(429, "TooManyRequests"), problem(504, "Timeout")];
    for answer in unknown {
        let (scales, asked) = api([answer]);
        let end = scales.set("team", &deployment(), "7", 0).await;
        assert!(matches!(end, Commit::Unknown(_)), "{end:?}");
        assert_eq!(asked.lock().unwrap().len(), 1);
    }
    let (scales, asked) = api([scale("8", &json!({}))]);
    assert_eq!(scales.set("team", &deployment(), "7", 0).await, Commit::Done);
    let (method, path, body) = asked.lock().unwrap()[0].clone();
    assert_eq!(
        (method.as_str(), path.contains("fieldManager=reveille-controller")),
        ("PATCH", true),
        "{path}"
    );
    assert_eq!(body, json!({"metadata": {"resourceVersion": "7"}, "spec": {"replicas": 0}}));
}

#[tokio::test]
async fn what_was_certainly_not_done_is_told_from_what_nobody_knows() {
    let (scales, _) = api([problem(409, "Conflict")]);
    assert_eq!(scales.set("team", &deployment(), "7", 0).await, Commit::Conflict);
    for answer in [problem(403, "Forbidden"), problem(404, "NotFound"), problem(422, "Invalid")] {
        let (scales, _) = api([answer]);
        let end = scales.set("team", &deployment(), "7", 0).await;
        assert!(matches!(&end, Commit::Refused(why) if why.contains("team/web")), "{end:?}");
    }
    let (scales, asked) = api([scale("8", &json!({}))]);
    assert!(matches!(scales.set("team", &deployment(), "", 0).await, Commit::Refused(_)));
    assert_eq!(asked.lock().unwrap().len(), 0, "without a version there would be no precondition");
    let unreadable = (200, json!("?"));
    let (scales, _) = api([unreadable]);
    assert!(matches!(scales.set("team", &deployment(), "7", 0).await, Commit::Unknown(_)));
}

#[tokio::test(start_paused = true)]
async fn a_commit_without_an_answer_is_unknown_after_10_s() {
    let (scales, asked) = api([]);
    let begin = tokio::time::Instant::now();
    assert!(matches!(scales.set("team", &deployment(), "7", 0).await, Commit::Unknown(_)));
    assert_eq!(begin.elapsed().as_secs(), 10);
    assert_eq!(asked.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn a_server_out_of_reach_was_sent_nothing() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let config = Config::new(format!("http://{free}").parse().unwrap());
    let once = Once::connect(config.clone()).unwrap();
    let scales = KubeScales::new(Client::try_from(config).unwrap(), once);
    let end = scales.set("team", &deployment(), "7", 0).await;
    assert!(matches!(end, Commit::Refused(_)), "{end:?}");
}

#[tokio::test]
async fn a_fence_goes_by_status_and_if_that_moves_nothing_by_the_object() {
    let (scales, asked) = api([scale("7", &json!({})), object(), scale("8", &json!({}))]);
    scales.fence("team", &deployment()).await.unwrap();
    assert!(asked.lock().unwrap()[1].1.contains("/deployments/web/status?"), "{asked:?}");
    let same = || scale("7", &json!({}));
    let (scales, asked) = api([same(), problem(404, "NotFound"), same(), object(), scale("9", &json!({}))]);
    scales.fence("team", &deployment()).await.unwrap();
    let (method, path, body) = asked.lock().unwrap()[3].clone();
    assert!(method == "PATCH" && path.contains("/deployments/web?"), "{path}");
    assert!(body["metadata"]["annotations"][FENCE].is_string(), "{body}");
}

#[tokio::test]
async fn a_fence_that_moved_nothing_is_none() {
    let same = || scale("7", &json!({}));
    let (scales, _) = api([same(), object(), same(), problem(403, "Forbidden"), same()]);
    let error = scales.fence("team", &deployment()).await.unwrap_err();
    assert!(matches!(&error, ScaleError::NotPermitted(why) if why.contains("verb patch")), "{error}");
}

#[tokio::test]
async fn other_kinds_are_looked_up_and_forgotten_with_their_objects() {
    let kinds = || {
        let resource = |name: &str, kind: &str| json!({"name": name, "singularName": "", "namespaced": true, "kind": kind, "verbs": []});
        let resources =
            [resource("trainers", "Trainer"), resource("trainers/scale", "Scale"), resource("notes", "Note")];
        (
            200,
            json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": "ml.dev/v1", "resources": resources}),
        )
    };
    let trainer = TargetSpec { api_version: "ml.dev/v1".into(), kind: "Trainer".into(), name: "web".into() };
    let read = || scale("7", &json!({"replicas": 3}));
    let (scales, asked) = api([kinds(), read(), read(), problem(404, "NotFound"), kinds(), kinds()]);
    assert_eq!(scales.get("team", &trainer).await.unwrap().replicas, 3);
    assert_eq!(scales.get("team", &trainer).await.unwrap().replicas, 3);
    assert!(
        asked.lock().unwrap()[1].1.starts_with("/apis/ml.dev/v1/namespaces/team/trainers/web/scale"),
        "{asked:?}"
    );
    assert!(matches!(scales.get("team", &trainer).await, Err(ScaleError::NotFound(_))));
    let note = TargetSpec { kind: "Note".into(), ..trainer.clone() };
    assert!(matches!(scales.get("team", &note).await, Err(ScaleError::NotScalable(_))));
    let other = TargetSpec { kind: "Other".into(), ..trainer };
    assert!(matches!(scales.get("team", &other).await, Err(ScaleError::NotFound(_))));
}
