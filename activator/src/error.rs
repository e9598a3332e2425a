//! Every error that the activator itself makes: who is to blame, whether trying again helps, and what the
//! client is told. `respond` maps it once to HTTP; `docs/reference/errors.md` lists each kind with its remedy
//! (a test compares the two).

use std::{fmt, sync::Arc, time::Duration};

use reveille_core::{app::AppId, wake::WakeId};

/// Who has to change something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blame {
    /// The client sent what cannot be served.
    Client,
    /// The app did not do its part.
    App,
    /// A limit that the operator set was reached, or the operator is stopping Reveille.
    Limit,
}

/// The kinds of error. Each has one URL, one HTTP status and one line in the reference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The request breaks HTTP's rules.
    BadRequest,
    /// The request's head is longer than is taken.
    HeadTooLarge,
    /// The method cannot be forwarded.
    MethodNotSupported,
    /// No app of the gateway has this host.
    UnknownHost,
    /// The app's share of the hold is full.
    HoldFull,
    /// The hold of all apps together is full.
    HoldFullTotal,
    /// The request was held for as long as it may be.
    HoldDeadline,
    /// The client's own deadline passed while the request was held.
    ClientDeadline,
    /// The app still wakes, and its policy says to answer early.
    StillWaking,
    /// The wake failed.
    WakeFailed,
    /// The last wake failed or the app keeps crashing, and another attempt is not due yet.
    WakePaused,
    /// The app was put to sleep by hand until it is woken by hand.
    AsleepByHand,
    /// A probe came for an app that is not awake.
    NotAwake,
    /// The app is ready and yet takes no connection on this port.
    UpstreamUnreachable,
    /// The app closed the connection without an answer; it may have acted on the request.
    UpstreamClosed,
    /// The app says of the request that it did not act on it, each time that it was sent.
    UpstreamRefused,
    /// The app answered with something that is not HTTP.
    UpstreamProtocol,
    /// The app sent no response head in time.
    ResponseHeaderTimeout,
    /// Request and response together took too long.
    TotalTimeout,
    /// The app was taken out of the configuration.
    AppRemoved,
    /// Reveille is stopping.
    Draining,
}

impl Kind {
    /// Every kind, in the order of the reference.
    pub const ALL: [Self; 21] = [
        Self::BadRequest,
        Self::HeadTooLarge,
        Self::MethodNotSupported,
        Self::UnknownHost,
        Self::HoldFull,
        Self::HoldFullTotal,
        Self::HoldDeadline,
        Self::ClientDeadline,
        Self::StillWaking,
        Self::WakeFailed,
        Self::WakePaused,
        Self::AsleepByHand,
        Self::NotAwake,
        Self::UpstreamUnreachable,
        Self::UpstreamClosed,
        Self::UpstreamRefused,
        Self::UpstreamProtocol,
        Self::ResponseHeaderTimeout,
        Self::TotalTimeout,
        Self::AppRemoved,
        Self::Draining,
    ];

    /// The name in URLs and in the metric label `reason`.
    pub fn slug(self) -> &'static str {
        match self {
            Self::BadRequest => "bad-request",
            Self::HeadTooLarge => "head-too-large",
            Self::MethodNotSupported => "method-not-supported",
            Self::UnknownHost => "unknown-host",
            Self::HoldFull => "hold-full",
            Self::HoldFullTotal => "hold-full-total",
            Self::HoldDeadline => "hold-deadline",
            Self::ClientDeadline => "client-deadline",
            Self::StillWaking => "still-waking",
            Self::WakeFailed => "wake-failed",
            Self::WakePaused => "wake-paused",
            Self::AsleepByHand => "asleep-by-hand",
            Self::NotAwake => "not-awake",
            Self::UpstreamUnreachable => "upstream-unreachable",
            Self::UpstreamClosed => "upstream-closed",
            Self::UpstreamRefused => "upstream-refused",
            Self::UpstreamProtocol => "upstream-protocol",
            Self::ResponseHeaderTimeout => "response-header-timeout",
            Self::TotalTimeout => "total-timeout",
            Self::AppRemoved => "app-removed",
            Self::Draining => "draining",
        }
    }

    /// The kind in words.
    pub fn title(self) -> &'static str {
        match self {
            Self::BadRequest => "The request is not valid HTTP",
            Self::HeadTooLarge => "The request's head is too large",
            Self::MethodNotSupported => "The method is not supported",
            Self::UnknownHost => "No app has this host",
            Self::HoldFull => "Too many requests are waiting for the app",
            Self::HoldFullTotal => "Too many requests are waiting",
            Self::HoldDeadline => "The app was not ready in time",
            Self::ClientDeadline => "The app was not ready within the client's deadline",
            Self::StillWaking => "The app is still waking",
            Self::WakeFailed => "The app could not be woken",
            Self::WakePaused => "The app could not be woken and is not tried again yet",
            Self::AsleepByHand => "The app was put to sleep by hand",
            Self::NotAwake => "The app is not awake",
            Self::UpstreamUnreachable => "The app takes no connection on this port",
            Self::UpstreamClosed => "The app closed the connection without an answer",
            Self::UpstreamRefused => "The app did not take the request",
            Self::UpstreamProtocol => "The app's answer is not valid HTTP",
            Self::ResponseHeaderTimeout => "The app did not begin to answer in time",
            Self::TotalTimeout => "The app did not answer in time",
            Self::AppRemoved => "The app is gone",
            Self::Draining => "Reveille is stopping",
        }
    }

    /// The HTTP status.
    pub fn status(self) -> u16 {
        match self {
            Self::BadRequest => 400,
            Self::HeadTooLarge => 431,
            Self::UnknownHost => 404,
            Self::MethodNotSupported => 501,
            Self::WakeFailed
            | Self::WakePaused
            | Self::UpstreamUnreachable
            | Self::UpstreamClosed
            | Self::UpstreamRefused
            | Self::UpstreamProtocol => 502,
            Self::HoldFull
            | Self::HoldFullTotal
            | Self::StillWaking
            | Self::AsleepByHand
            | Self::NotAwake
            | Self::AppRemoved
            | Self::Draining => 503,
            Self::HoldDeadline | Self::ClientDeadline | Self::ResponseHeaderTimeout | Self::TotalTimeout => {
                504
            }
        }
    }

    /// The status of a gRPC call: its code and name. A call that may have been acted on is told from one that
    /// was not by [`is_retriable`](Self::is_retriable), not by its status.
    pub fn grpc_status(self) -> (u8, &'static str) {
        match self {
            Self::BadRequest | Self::UpstreamProtocol => (13, "INTERNAL"),
            Self::MethodNotSupported | Self::UnknownHost => (12, "UNIMPLEMENTED"),
            Self::HeadTooLarge | Self::HoldFull | Self::HoldFullTotal => (8, "RESOURCE_EXHAUSTED"),
            Self::ClientDeadline | Self::ResponseHeaderTimeout | Self::TotalTimeout => {
                (4, "DEADLINE_EXCEEDED")
            }
            Self::HoldDeadline
            | Self::StillWaking
            | Self::WakeFailed
            | Self::WakePaused
            | Self::AsleepByHand
            | Self::NotAwake
            | Self::UpstreamUnreachable
            | Self::UpstreamClosed
            | Self::UpstreamRefused
            | Self::AppRemoved
            | Self::Draining => (14, "UNAVAILABLE"),
        }
    }

    /// Who has to change something.
    pub fn blame(self) -> Blame {
        match self {
            Self::BadRequest | Self::HeadTooLarge | Self::MethodNotSupported | Self::UnknownHost => {
                Blame::Client
            }
            Self::HoldDeadline
            | Self::ClientDeadline
            | Self::StillWaking
            | Self::WakeFailed
            | Self::WakePaused
            | Self::NotAwake
            | Self::UpstreamUnreachable
            | Self::UpstreamClosed
            | Self::UpstreamRefused
            | Self::UpstreamProtocol
            | Self::ResponseHeaderTimeout
            | Self::TotalTimeout => Blame::App,
            Self::HoldFull | Self::HoldFullTotal | Self::AsleepByHand | Self::AppRemoved | Self::Draining => {
                Blame::Limit
            }
        }
    }

    /// Whether the same request, sent again later, may be answered, and was certainly not acted on before.
    pub fn is_retriable(self) -> bool {
        match self {
            Self::HoldFull
            | Self::HoldFullTotal
            | Self::HoldDeadline
            | Self::ClientDeadline
            | Self::StillWaking
            | Self::WakeFailed
            | Self::WakePaused
            | Self::NotAwake
            | Self::UpstreamUnreachable
            | Self::UpstreamRefused
            | Self::Draining => true,
            Self::BadRequest
            | Self::HeadTooLarge
            | Self::MethodNotSupported
            | Self::UnknownHost
            | Self::AsleepByHand
            | Self::UpstreamClosed
            | Self::UpstreamProtocol
            | Self::ResponseHeaderTimeout
            | Self::TotalTimeout
            | Self::AppRemoved => false,
        }
    }
}

/// An error that the activator answers with. Cheap to clone: one failed wake answers every held request.
#[derive(Clone, Debug)]
pub struct Error(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    kind: Kind,
    detail: String,
    app: Option<AppId>,
    wake: Option<WakeId>,
    retry_after: Option<Duration>,
}

impl Error {
    /// An error of this kind. `detail` says what happened, to which app, and what to do; it goes to clients.
    pub fn new(kind: Kind, detail: impl Into<String>) -> Self {
        Self(Arc::new(Inner { kind, detail: detail.into(), app: None, wake: None, retry_after: None }))
    }

    /// Names the app that it happened to.
    #[must_use]
    pub fn for_app(self, app: &AppId) -> Self {
        self.map(|inner| inner.app = Some(app.clone()))
    }

    /// Names the wake that it happened in.
    #[must_use]
    pub fn in_wake(self, wake: &WakeId) -> Self {
        self.map(|inner| inner.wake = Some(wake.clone()))
    }

    /// Says when trying again makes sense.
    #[must_use]
    pub fn retry_after(self, after: Duration) -> Self {
        self.map(|inner| inner.retry_after = Some(after))
    }

    fn map(self, change: impl FnOnce(&mut Inner)) -> Self {
        let mut inner = Arc::try_unwrap(self.0).unwrap_or_else(|shared| Inner {
            kind: shared.kind,
            detail: shared.detail.clone(),
            app: shared.app.clone(),
            wake: shared.wake.clone(),
            retry_after: shared.retry_after,
        });
        change(&mut inner);
        Self(Arc::new(inner))
    }

    /// The kind.
    pub fn kind(&self) -> Kind {
        self.0.kind
    }

    /// What happened, to which app, and what to do.
    pub fn detail(&self) -> &str {
        &self.0.detail
    }

    /// The app that it happened to, if one is known.
    pub fn app(&self) -> Option<&AppId> {
        self.0.app.as_ref()
    }

    /// The wake that it happened in.
    pub fn wake(&self) -> Option<&WakeId> {
        self.0.wake.as_ref()
    }

    /// When trying again makes sense, if that is known.
    pub fn retry_after_time(&self) -> Option<Duration> {
        self.0.retry_after
    }

    /// `Retry-After` in whole seconds, at least 1.
    pub fn retry_after_seconds(&self) -> Option<u64> {
        self.0.retry_after.map(|after| (after.as_millis().div_ceil(1_000)).clamp(1, 86_400) as u64)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.0.kind.slug(), self.0.detail)
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reference_lists_every_kind_with_its_status() {
        let reference = include_str!("../../docs/reference/errors.md");
        for kind in Kind::ALL {
            let heading = format!("### `{}` ({}, {})", kind.slug(), kind.status(), kind.grpc_status().1);
            assert!(reference.contains(&heading), "docs/reference/errors.md lacks {heading:?}");
        }
        assert_eq!(
            reference.matches("\n### `").count(),
            Kind::ALL.len(),
            "the reference lists a kind that is none"
        );
    }

    #[test]
    fn retry_after_is_at_least_a_second_and_rounded_up() {
        let error =
            |ms| Error::new(Kind::HoldFull, "").retry_after(Duration::from_millis(ms)).retry_after_seconds();
        assert_eq!((error(0), error(1), error(1_001)), (Some(1), Some(1), Some(2)));
    }
}
