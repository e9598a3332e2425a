//! Making a key.

use ring::rand::{SecureRandom, SystemRandom};

use super::{Key, KeyHash, Namespaces, Right};

/// What every key begins with, so that one that was left in a file or a log is known for what it is.
pub(super) const PREFIX: &str = "reveille_";

/// A key that was made just now.
pub struct NewKey {
    /// The key itself, to be told once.
    pub told: String,
    /// What is kept of it.
    pub kept: Key,
}

/// Makes one from 256 bits of the system's randomness. The name is one that
/// [`check_key_name`](super::file::check_key_name) finds right.
///
/// # Errors
/// If the system has no randomness to give.
pub fn new(name: &str, namespaces: Namespaces, right: Right) -> Result<NewKey, String> {
    let mut bits = [0; 32];
    SystemRandom::new().fill(&mut bits).map_err(|_| "the system gives no random numbers".to_owned())?;
    // A hash is 32 bytes, as this is, and knows how to be written.
    let told = format!("{PREFIX}{}", KeyHash(bits));
    let kept = Key { name: name.to_owned(), hash: KeyHash::of(&told), namespaces, right };
    Ok(NewKey { told, kept })
}
