//! Tests of the file as a whole: text in, configuration or messages out.

mod bad;
mod docs;
mod files;
mod fuzz;
mod good;

use std::{
    fs,
    path::{Path, PathBuf},
    sync::atomic::{AtomicUsize, Ordering},
};

use super::{LocalConfig, Problems};

/// A folder that ends with the test.
struct TempDir(PathBuf);

impl TempDir {
    fn new() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("reveille-file-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let dir = std::env::temp_dir().join(name);
        fs::create_dir(&dir).unwrap();
        Self(dir)
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        path
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Reads the text as `reveille.yaml` of the root folder, which every machine has.
fn parse(text: &str) -> Result<LocalConfig, Problems> {
    super::parse(text, Path::new("reveille.yaml"), Path::new("/"))
}

/// Some file that is right and uses every field.
const GOOD: &str = include_str!("good.yaml");
