//! The keys by which people and pipelines call the API.
//!
//! A key is 256 random bits and is told once, to whoever made it. What is kept is a line of a [file](mod@file): its SHA-256,
//! which is enough to know it again and of no use to whoever reads the file. (No salt, no slow hash: these protect
//! passwords, which can be guessed. 256 random bits cannot.)
//!
//! A key that comes is hashed and compared with every one that is known, each in constant time, so that the time of an
//! answer tells nothing.
//!
//! | module | holds |
//! |---|---|
//! | [`mod@file`] | the lines, and what is wrong with them |
//! | [`mod@new`] | making one |
//! | `follow` | reading the file again when it changes |

pub mod file;
mod follow;
mod new;
#[cfg(test)]
mod tests;

use std::{
    fmt,
    sync::{Arc, PoisonError, RwLock},
};

use ring::digest::{SHA256, digest};
use subtle::ConstantTimeEq;

pub use self::{
    follow::follow,
    new::{NewKey, new},
};

/// The SHA-256 of a key.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyHash([u8; 32]);

impl KeyHash {
    /// That of a key as it was told.
    pub fn of(key: &str) -> Self {
        let mut hash = [0; 32];
        hash.copy_from_slice(digest(&SHA256, key.as_bytes()).as_ref());
        Self(hash)
    }
}

impl fmt::Display for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What a key is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Right {
    /// Seeing apps.
    Read,
    /// Waking them and putting them to sleep, too.
    Scale,
}

impl Right {
    /// As it is written in the file.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Scale => "scale",
        }
    }
}

/// Where a key is good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Namespaces {
    /// In all.
    All,
    /// In these.
    These(Vec<String>),
}

impl Namespaces {
    /// Whether it is good in that one.
    pub fn hold(&self, namespace: &str) -> bool {
        match self {
            Self::All => true,
            Self::These(names) => names.iter().any(|name| name == namespace),
        }
    }
}

impl fmt::Display for Namespaces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("*"),
            Self::These(names) => f.write_str(&names.join(",")),
        }
    }
}

/// One key, as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// Whose it is, for the log.
    pub name: String,
    /// By what it is known again.
    pub hash: KeyHash,
    /// Where it is good.
    pub namespaces: Namespaces,
    /// For what.
    pub right: Right,
}

impl fmt::Display for Key {
    /// The line of the file.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {} {}", self.name, self.hash, self.namespaces, self.right.as_str())
    }
}

/// The keys that are good now.
#[derive(Debug, Default)]
pub struct KeyRing {
    /// A plain lock: held to clone or to replace the pointer.
    keys: RwLock<Arc<[Arc<Key>]>>,
}

impl KeyRing {
    /// These.
    pub fn new(keys: Vec<Key>) -> Arc<Self> {
        let ring = Self::default();
        ring.replace(keys);
        Arc::new(ring)
    }

    /// These from now on.
    pub fn replace(&self, keys: Vec<Key>) {
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) = keys.into_iter().map(Arc::new).collect();
    }

    /// The key that was told as `told`. Takes as long whichever it is, and if it is none.
    pub fn find(&self, told: &str) -> Option<Arc<Key>> {
        let hash = KeyHash::of(told);
        let mut found = None;
        for key in self.keys().iter() {
            if key.hash.0.ct_eq(&hash.0).into() {
                found = Some(Arc::clone(key));
            }
        }
        found
    }

    /// Whether that key is good still, and for the same.
    pub fn holds(&self, key: &Key) -> bool {
        self.keys().iter().any(|other| **other == *key)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.keys().len()
    }

    /// Whether there are none, so that nobody may call.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn keys(&self) -> Arc<[Arc<Key>]> {
        Arc::clone(&self.keys.read().unwrap_or_else(PoisonError::into_inner))
    }
}
