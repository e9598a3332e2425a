//! The state file: what has to outlive this process, which is the wakes that are to come, which apps requests do not wake, and
//! what apps have saved.
//!
//! It is written whole to a file beside it, flushed to the disk and renamed: after a crash at any moment there is the
//! old one or the new one. One that cannot be understood is put aside, not overwritten, and said in the log.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsString,
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use reveille_core::{api::Schedule, app::AppId, cost::Savings};
use serde::{Deserialize, Serialize};

use crate::files::{open_regular, read_regular};

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
    /// Of an older Reveille there are none.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    asleep_by_hand: BTreeSet<AppId>,
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
    /// Which apps requests do not wake.
    pub(super) asleep_by_hand: BTreeSet<AppId>,
}

/// Reads the file; nothing is to come if there is none.
pub(super) fn read(path: &Path) -> Kept {
    let text = match read_regular(path, u64::MAX) {
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
        asleep_by_hand: state.asleep_by_hand,
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
        asleep_by_hand: kept.asleep_by_hand.clone(),
    };
    // What a link leads to is written, not the link.
    let path = &fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
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
    match open_regular(path) {
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

/// Keeps the file for this process until what is returned is dropped. None if another one has it. Where the file system knows
/// no locks there are none.
///
/// # Errors
/// If its lock file can be neither made nor opened.
pub fn lock_state_file(path: &Path) -> io::Result<Option<File>> {
    fs::create_dir_all(folder(path))?;
    // A file of its own: the file itself is replaced by each write.
    let lock = OpenOptions::new().write(true).create(true).truncate(false).open(beside(path, ".lock"))?;
    match lock.try_lock() {
        Err(TryLockError::WouldBlock) => Ok(None),
        Ok(()) | Err(TryLockError::Error(_)) => Ok(Some(lock)),
    }
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
        let kept = Kept {
            schedules: [(web.clone(), schedule)].into(),
            savings: [(web.clone(), savings)].into(),
            asleep_by_hand: [web].into(),
        };
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
    fn it_is_kept_by_one_process_and_through_a_link() {
        let Folder(folder) = &Folder::new("lock");
        let path = folder.join("deeper/state.json");
        let held = lock_state_file(&path).unwrap();
        assert!(held.is_some() && lock_state_file(&path).unwrap().is_none());
        drop(held);
        assert!(lock_state_file(&path).unwrap().is_some());
        write(&path, &Kept::default()).unwrap();
        let link = folder.join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        fs::write(&path, "old").unwrap();
        write(&link, &Kept::default()).unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert!(fs::read_to_string(&path).unwrap().contains("schedules"));
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
            let mut text = serde_json::to_vec_pretty(&State { version: VERSION, schedules, savings: Vec::new(), asleep_by_hand: BTreeSet::new() }).unwrap();
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
