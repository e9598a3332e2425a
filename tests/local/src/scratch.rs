//! Folders that vanish with the test, unless it fails.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
};

static NEXT: AtomicU32 = AtomicU32::new(0);

/// A folder of one test.
#[derive(Debug)]
pub struct Scratch(PathBuf);

impl Scratch {
    /// Makes an empty one; `name` is for whoever looks at it after a failure.
    pub fn new(name: &str) -> Self {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("reveille-test-{}-{number}-{name}", std::process::id()));
        fs::create_dir_all(&path).expect("the folder for temporary files can be written");
        Self(path)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// A file in it, which need not exist.
    pub fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Writes a file in it, whole or not at all: a reader never sees a part.
    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let (partial, path) = (self.file(&format!(".{name}.part")), self.file(name));
        fs::write(&partial, text).expect("the test's own folder can be written");
        fs::rename(&partial, &path).expect("a rename within a folder works");
        path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let _ = fs::remove_dir_all(&self.0);
        }
    }
}
