//! Who may use the control port: the controller, by a token of its account that is meant for activators alone.
//!
//! The API server is asked what a token is worth (TokenReview), and its answer holds for a while. A token itself is not
//! kept, only a keyed hash of it. Strangers cannot make the activator trouble the API server at will: few reviews run
//! at a time, and the answer to a bad token is remembered, too.

use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use futures_util::future::BoxFuture;
use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec};
use kube::{Api, Client, api::PostParams};
use reveille_core::control;
use tokio::sync::Semaphore;

use super::api::said_in_full;

/// How long a good token stays good.
const GOOD_FOR: Duration = Duration::from_secs(60);
/// How long a bad one stays bad.
const BAD_FOR: Duration = Duration::from_secs(5);
/// Tokens that are remembered.
const REMEMBERED: usize = 256;
/// Reviews at a time.
const REVIEWS: usize = 4;
/// How long a review may take, the wait for another one to end included.
const TIMEOUT: Duration = Duration::from_secs(5);

/// What a token is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Worth {
    /// It is the controller's.
    Controller,
    /// It is another account's.
    Other,
    /// It is nobody's, or not meant for activators.
    Nothing,
}

/// The API server could not be asked, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unknown(pub(crate) String);

/// Asks what a token is worth.
pub(crate) trait Review: Send + Sync {
    /// Who shows it, if it is good for activators.
    fn review<'a>(&'a self, token: &'a str) -> BoxFuture<'a, Result<Option<String>, Unknown>>;
}

/// The API server.
pub(crate) struct KubeReview(pub(crate) Client);

impl Review for KubeReview {
    fn review<'a>(&'a self, token: &'a str) -> BoxFuture<'a, Result<Option<String>, Unknown>> {
        Box::pin(async move {
            let audiences = Some(vec![control::AUDIENCE.to_owned()]);
            let spec = TokenReviewSpec { audiences, token: token.to_owned() };
            let review = TokenReview { spec, ..TokenReview::default() };
            let answer =
                Api::<TokenReview>::all(self.0.clone()).create(&PostParams::default(), &review).await;
            let answer = answer.map_err(|error| Unknown(said_in_full(&error)))?;
            let status = answer.status.unwrap_or_default();
            let is_meant = status.audiences.iter().flatten().any(|audience| audience == control::AUDIENCE);
            let is_good = status.authenticated == Some(true) && is_meant;
            Ok(status.user.and_then(|user| user.username).filter(|_| is_good))
        })
    }
}

/// See the [module](self).
pub(crate) struct Auth {
    review: Box<dyn Review>,
    /// The user of the controller's account.
    controller: String,
    /// Two keyed hashes of a token, and until when it has what worth. A lock, as it is taken for a look-up only.
    known: Mutex<HashMap<(u64, u64), (Worth, Instant)>>,
    keys: (RandomState, RandomState),
    reviews: Semaphore,
}

impl Auth {
    pub(crate) fn new(review: Box<dyn Review>, controller: String) -> Self {
        let keys = (RandomState::new(), RandomState::new());
        Self { review, controller, known: Mutex::default(), keys, reviews: Semaphore::new(REVIEWS) }
    }

    /// What a token is worth.
    pub(crate) async fn worth(&self, token: &str) -> Result<Worth, Unknown> {
        let key = (self.keys.0.hash_one(token), self.keys.1.hash_one(token));
        if let Some(worth) = self.remembered(key, Instant::now()) {
            return Ok(worth);
        }
        let asked = async {
            let _permit = self.reviews.acquire().await.expect("the semaphore is never closed");
            // Another one may have asked for the same meanwhile.
            if let Some(worth) = self.remembered(key, Instant::now()) {
                return Ok(worth);
            }
            let worth = match self.review.review(token).await? {
                Some(user) if user == self.controller => Worth::Controller,
                Some(user) => {
                    tracing::warn!(user, expected = self.controller, "a stranger called the control port");
                    Worth::Other
                }
                None => Worth::Nothing,
            };
            self.remember(key, worth, Instant::now());
            Ok(worth)
        };
        let late = || Unknown(format!("no answer to a review of a token within {} s", TIMEOUT.as_secs()));
        tokio::time::timeout(TIMEOUT, asked).await.unwrap_or_else(|_| Err(late()))
    }

    fn remembered(&self, key: (u64, u64), now: Instant) -> Option<Worth> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(&key).filter(|(_, until)| now < *until).map(|(worth, _)| *worth)
    }

    fn remember(&self, key: (u64, u64), worth: Worth, now: Instant) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= REMEMBERED {
            known.retain(|_, (_, until)| now < *until);
        }
        if known.len() >= REMEMBERED {
            // Bad ones first: strangers must not push the controller out.
            let bad = known.iter().find(|(_, (worth, _))| *worth != Worth::Controller).map(|(key, _)| *key);
            let one = bad.or_else(|| known.keys().next().copied());
            one.map(|one| known.remove(&one));
        }
        let holds = if worth == Worth::Controller { GOOD_FOR } else { BAD_FOR };
        known.insert(key, (worth, now + holds));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    };

    use super::*;

    /// Knows the tokens `controller` and `other`, is out of reach for `late`.
    #[derive(Clone, Default)]
    struct Fake(Arc<AtomicUsize>);

    impl Review for Fake {
        fn review<'a>(&'a self, token: &'a str) -> BoxFuture<'a, Result<Option<String>, Unknown>> {
            self.0.fetch_add(1, Ordering::SeqCst);
            Box::pin(async move {
                match token {
                    "controller" | "other" => Ok(Some(format!("user:{token}"))),
                    "late" => Err(Unknown("out of reach".into())),
                    _ => Ok(None),
                }
            })
        }
    }

    #[tokio::test]
    async fn only_the_controller_is_let_in_and_answers_are_remembered() {
        let fake = Fake::default();
        let auth = Auth::new(Box::new(fake.clone()), "user:controller".into());
        for (token, worth) in
            [("controller", Worth::Controller), ("other", Worth::Other), ("x", Worth::Nothing)]
        {
            for _ in 0..3 {
                assert_eq!(auth.worth(token).await, Ok(worth), "{token}");
            }
        }
        assert_eq!(fake.0.load(Ordering::SeqCst), 3);
        assert_eq!(auth.worth("late").await, Err(Unknown("out of reach".into())));
        assert_eq!(auth.worth("late").await, Err(Unknown("out of reach".into())));
        assert_eq!(fake.0.load(Ordering::SeqCst), 5, "what is not known is not remembered");
    }

    #[test]
    fn memory_is_bounded_and_the_controller_stays() {
        let auth = Auth::new(Box::new(Fake::default()), String::new());
        let now = Instant::now();
        auth.remember((0, 0), Worth::Controller, now);
        for i in 1..10_000 {
            auth.remember((i, i), Worth::Nothing, now);
        }
        assert_eq!(auth.known.lock().unwrap().len(), REMEMBERED);
        assert_eq!(auth.remembered((0, 0), now), Some(Worth::Controller));
        assert_eq!(auth.remembered((0, 0), now + GOOD_FOR), None);
        assert_eq!(auth.remembered((9_999, 9_999), now + BAD_FOR), None);
    }
}
