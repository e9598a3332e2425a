//! The log by which tests tell what reached the app. Each line is one write to a file opened for appending,
//! so lines of several processes never mix.

use std::{
    env,
    fs::{File, OpenOptions},
    io::{self, Write},
    sync::Arc,
    time::SystemTime,
};

/// Where it writes; nowhere if it was not told.
#[derive(Clone, Debug)]
pub struct Log(Option<Arc<File>>);

impl Log {
    /// Opens what `SLOW_LOG` names.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn open() -> io::Result<Self> {
        let Some(path) = env::var_os("SLOW_LOG") else { return Ok(Self(None)) };
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        Ok(Self(Some(Arc::new(file))))
    }

    /// Adds one line.
    pub fn write(&self, kind: &str, detail: &str) {
        let Some(file) = &self.0 else { return };
        let line = format!("{} {} {kind} {detail}\n", now_micros(), std::process::id());
        let _ = (&**file).write_all(line.as_bytes());
    }
}

/// Microseconds since the epoch.
pub fn now_micros() -> u128 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |time| time.as_micros())
}
