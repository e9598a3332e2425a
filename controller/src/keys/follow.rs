//! Reading the file of keys again when it changes. A mounted Secret is replaced by renaming, by no signal, so the file is
//! looked at.

use std::{io, path::Path, sync::Arc, time::Duration};

use tokio::time::MissedTickBehavior;

use super::{
    KeyRing,
    file::{self, MAX_BYTES},
};
use crate::files::read_regular;

/// How often the file is looked at: a key that was taken out is good for no longer.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Reads the keys of a file, and returns what reads them again for as long as it is polled. A change that is wrong
/// changes nothing and is said in the log; so is a file that is gone.
///
/// # Errors
/// What is wrong with the file, a problem each.
pub async fn follow(
    path: &Path,
) -> Result<(Arc<KeyRing>, impl Future<Output = ()> + Send + use<>), Vec<String>> {
    let text = read(path).await.map_err(|error| vec![error])?;
    let keys = file::parse(&text)
        .map_err(|problems| problems.iter().map(ToString::to_string).collect::<Vec<_>>())?;
    let ring = KeyRing::new(keys);
    let (shared, path) = (Arc::clone(&ring), path.to_owned());
    let follow = async move {
        let mut last = Ok(text);
        let mut ticks = tokio::time::interval(LOOK_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let now = read(&path).await;
            if now != last {
                take_over(&shared, &path, &now);
                last = now;
            }
        }
    };
    Ok((ring, follow))
}

fn take_over(ring: &KeyRing, path: &Path, text: &Result<Vec<u8>, String>) {
    let problems = match text.as_ref().map(|text| file::parse(text)) {
        Ok(Ok(keys)) if keys.is_empty() && !ring.is_empty() => {
            tracing::warn!(file = %path.display(), "keys reloaded: there are none in the file any more, and nobody may call the API");
            return ring.replace(keys);
        }
        Ok(Ok(keys)) => {
            tracing::info!(file = %path.display(), keys = keys.len(), "keys reloaded");
            return ring.replace(keys);
        }
        Ok(Err(problems)) => problems.iter().map(ToString::to_string).collect(),
        Err(error) => vec![error.clone()],
    };
    for problem in problems {
        tracing::error!(file = %path.display(), "{problem}");
    }
    tracing::error!(file = %path.display(), keys = ring.len(), "the file of keys has mistakes; the keys of before stay good");
}

/// The bytes of the file, in words what is wrong with it.
async fn read(path: &Path) -> Result<Vec<u8>, String> {
    let cannot = |error| format!("{} cannot be read: {error}", path.display());
    let named = path.to_owned();
    let read = tokio::task::spawn_blocking(move || read_regular(&named, MAX_BYTES + 1));
    let text = read.await.unwrap_or_else(|error| Err(io::Error::other(error))).map_err(cannot)?;
    if text.len() as u64 > MAX_BYTES {
        return Err(format!("{} is longer than {MAX_BYTES} bytes", path.display()));
    }
    Ok(text)
}
