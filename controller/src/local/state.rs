//! The state file: what has to outlive this process, which is the wakes that are to come and what apps have saved.
//!
//! It is written whole to a file beside it, flushed to the disk and renamed: after a crash at any moment there is the
//! old one or the new one. One that cannot be understood is put aside, not overwritten, and said in the log.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use reveille_core::{api::Schedule, app::AppId, cost::Savings};
use serde::{Deserialize, Serialize};

/// The form of the file. Another one is of another version, and not understood.
const VERSION: u32 = 1;

/// What the file holds.
#[derive(Debug, Serialize, Deserialize)]
struct State {
    version: u32,
    schedules: Vec<Entry>,
    /// Of an older Reveille there are none.
    #[serde(default)]
    savings: Vec<Saved>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Saved {
    #[serde(flatten)]
    app: AppId,
    #[serde(flatten)]
    savings: Savings,
}

#[derive(Debug, Serialize, Deserialize)]
struct Entry {
    #[serde(flatten)]
    app: AppId,
    #[serde(flatten)]
    schedule: Schedule,
}

/// What is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Kept {
    /// What is to come, by app.
    pub(super) schedules: BTreeMap<AppId, Schedule>,
    /// What each app has saved.
    pub(super) savings: BTreeMap<AppId, Savings>,
}

/// Reads the file; nothing is to come if there is none.
pub(super) fn read(path: &Path) -> Kept {
    let text = match fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Kept::default(),
        Err(error) => {
            tracing::error!(file = %path.display(), "the state file cannot be read, scheduled wakes and savings are forgotten and new ones not kept; give --state a file that this user may write: {error}");
            return Kept::default();
        }
    };
    match parse(&text) {
        Ok(kept) => kept,
        Err(error) => {
            let aside = beside(path, ".broken");
            let put_aside = fs::rename(path, &aside);
            tracing::error!(
                file = %path.display(), aside = %aside.display(), put_aside = put_aside.is_ok(),
                "the state file cannot be understood, scheduled wakes and savings are forgotten: {error}"
            );
            Kept::default()
        }
    }
}

fn parse(text: &[u8]) -> Result<Kept, String> {
    let state: State = serde_json::from_slice(text).map_err(|error| error.to_string())?;
    if state.version != VERSION {
        return Err(format!("it is of version {}, this Reveille knows version {VERSION}", state.version));
    }
    Ok(Kept {
        schedules: state.schedules.into_iter().map(|entry| (entry.app, entry.schedule)).collect(),
        savings: state.savings.into_iter().map(|saved| (saved.app, saved.savings)).collect(),
    })
}

/// Writes the file, and its folder if there is none.
///
/// # Errors
/// If that is not on the disk; the file is then what it was.
pub(super) fn write(path: &Path, kept: &Kept) -> io::Result<()> {
    let entry = |(app, schedule): (&AppId, &Schedule)| Entry { app: app.clone(), schedule: schedule.clone() };
    let saved = |(app, savings): (&AppId, &Savings)| Saved { app: app.clone(), savings: savings.clone() };
    let state = State {
        version: VERSION,
        schedules: kept.schedules.iter().map(entry).collect(),
        savings: kept.savings.iter().map(saved).collect(),
    };
    let mut text = serde_json::to_vec_pretty(&state).map_err(io::Error::other)?;
    text.push(b'\n');
    let folder = folder(path);
    fs::create_dir_all(folder)?;
    let new = beside(path, ".new");
    // For its owner alone: reasons are nobody else's business.
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
    file.write_all(&text)?;
    file.sync_all()?;
    fs::rename(&new, path)?;
    // So that the renaming outlives a crash of the machine, too.
    File::open(folder)?.sync_all()
}

/// Whether the file can be read, if there is one, and written. Makes its folder if there is none.
///
/// # Errors
/// Why not.
pub fn check_state_file(path: &Path) -> io::Result<()> {
    match File::open(path) {
        Ok(file) if file.metadata()?.is_dir() => return Err(io::ErrorKind::IsADirectory.into()),
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    fs::create_dir_all(folder(path))?;
    // Not the name that is written to: a Reveille that runs may be writing.
    let trial = beside(path, ".trial");
    File::create(&trial)?;
    fs::remove_file(&trial)
}

fn folder(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(ending);
    name.into()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::local::schedule::tests::Folder;

    #[test]
    fn what_is_written_is_read() {
        let folder = Folder::new("state");
        let path = folder.0.join("deeper/state.json");
        assert_eq!(read(&path), Kept::default());
        let schedule =
            Schedule { at: "2026-01-02T03:04:05Z".parse().unwrap(), reason: "night\n\"é\"".into() };
        let mut savings = Savings::default();
        savings.add(std::time::Duration::from_secs(7), 1, None);
        let web = AppId::local("web");
        let kept = Kept { schedules: [(web.clone(), schedule)].into(), savings: [(web, savings)].into() };
        write(&path, &kept).unwrap();
        assert_eq!(read(&path), kept);
        write(&path, &Kept::default()).unwrap();
        assert_eq!(read(&path), Kept::default());
    }

    #[test]
    fn a_file_that_cannot_be_one_is_told_before_it_is_needed() {
        let Folder(folder) = &Folder::new("check");
        fs::create_dir_all(folder).unwrap();
        fs::write(folder.join("file"), "").unwrap();
        check_state_file(&folder.join("new/state.json")).unwrap();
        check_state_file(&folder.join("file")).unwrap();
        assert_eq!(check_state_file(folder).unwrap_err().kind(), io::ErrorKind::IsADirectory);
        assert_eq!(
            check_state_file(&folder.join("file/state.json")).unwrap_err().kind(),
            io::ErrorKind::NotADirectory
        );
        let left: Vec<_> = fs::read_dir(folder.join("new")).unwrap().collect();
        assert!(left.is_empty(), "{left:?}");
    }

    #[test]
    fn half_a_write_changes_nothing_and_nonsense_is_put_aside() {
        let folder = Folder::new("broken");
        let path = folder.0.join("state.json");
        let schedule = Schedule { at: jiff::Timestamp::UNIX_EPOCH, reason: "x".into() };
        let kept = Kept { schedules: [(AppId::local("web"), schedule)].into(), ..Kept::default() };
        write(&path, &kept).unwrap();
        fs::write(beside(&path, ".new"), "{\"version\": 1, \"sche").unwrap();
        assert_eq!(read(&path), kept, "as after a crash in the middle");
        for text in ["", "{", "[]", r#"{"version": 2, "schedules": []}"#] {
            fs::write(&path, text).unwrap();
            assert_eq!(read(&path), Kept::default());
            assert_eq!(fs::read_to_string(beside(&path, ".broken")).unwrap(), text);
            assert!(!path.exists());
        }
    }

    proptest! {
        #[test]
        fn a_file_that_is_nearly_right_is_whole_or_refused(at in 0_usize..500, byte: u8, cut: bool) {
            let entry = |name: &str| (AppId::local(name), Schedule { at: jiff::Timestamp::UNIX_EPOCH, reason: "x".into() });
            let kept = BTreeMap::from([entry("api"), entry("web")]);
            let schedules: Vec<_> =
                kept.iter().map(|(app, schedule)| Entry { app: app.clone(), schedule: schedule.clone() }).collect();
            let mut text = serde_json::to_vec_pretty(&State { version: VERSION, schedules, savings: Vec::new() }).unwrap();
            let at = at % text.len();
            if cut { text.truncate(at) } else { text[at] = byte }
            if let Ok(read) = parse(&text) {
                prop_assert!(!cut, "half a file is none");
                // One byte changes one name at most, so that none is lost in silence but by that.
                prop_assert!(!read.schedules.is_empty() && read.schedules.len() <= kept.len());
            }
        }

        #[test]
        fn no_content_panics(text in prop::collection::vec(any::<u8>(), 0..200), json in "[\\[\\]{}\",:0-9a-z]{0,60}") {
            let _ = parse(&text);
            let _ = parse(json.as_bytes());
        }
    }
}
