//! What Reveille and a guardian say to each other.
//!
//! | pipe | direction | carries |
//! |---|---|---|
//! | the guardian's stdin | to the guardian | one [`Start`], then [`TERMINATE`] any number of times; its end means: kill everything |
//! | the guardian's stdout | to Reveille | one [`Report`] a line, [`Report::Gone`] last |
//! | the guardian's stderr | to Reveille | the app's own output: the guardian hands it on and keeps no end of it |
//!
//! That the end of the control pipe is the order to kill leaves no case in which Reveille dies and the order
//! is not given. What is started is told here, not on the guardian's command line: `pkill -f` of the app's
//! name does not hit its guardian, and values of the environment are not shown to other users.

use std::{
    ffi::OsString,
    io::{self, Read},
};

use serde::{Deserialize, Serialize};

/// The order to send SIGTERM to the app's process group.
pub(crate) const TERMINATE: u8 = b'T';

/// What the guardian is to run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Start {
    /// The program's file.
    pub(crate) program: OsString,
    /// The program's name as it sees it, then its arguments.
    pub(crate) argv: Vec<String>,
    /// Added to the guardian's environment, which is Reveille's. The last of two equal names counts.
    pub(crate) env: Vec<(String, String)>,
    /// Where it runs.
    pub(crate) working_dir: OsString,
}

impl Start {
    /// As it goes through the pipe: the length in 4 bytes (so that nothing behind it is read with it), then JSON.
    pub(crate) fn encode(&self) -> io::Result<Vec<u8>> {
        let json = serde_json::to_vec(self)?;
        let length = u32::try_from(json.len()).map_err(io::Error::other)?;
        Ok([&length.to_le_bytes(), json.as_slice()].concat())
    }

    /// Reads one, and not a byte more.
    pub(crate) fn read(mut from: impl Read) -> io::Result<Self> {
        let mut length = [0; 4];
        from.read_exact(&mut length)?;
        let length = u64::from(u32::from_le_bytes(length));
        let mut json = Vec::new();
        from.take(length).read_to_end(&mut json)?;
        Ok(serde_json::from_slice(&json)?)
    }
}

/// What the guardian saw.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Report {
    /// The program runs.
    Started {
        /// Its process, which is its process group, too.
        pid: i32,
    },
    /// It does not, and this is why.
    CannotStart {
        /// One sentence, without a full stop.
        reason: String,
    },
    /// Its first process ended by itself, with this code.
    ExitedWithCode(i32),
    /// Its first process was ended by this signal.
    EndedBySignal(i32),
    /// No descendant is left.
    Gone,
}

impl Report {
    /// As it goes through the pipe: a line.
    pub(crate) fn encode(&self) -> io::Result<String> {
        Ok(serde_json::to_string(self)? + "\n")
    }

    /// Reads a line.
    pub(crate) fn decode(line: &str) -> io::Result<Self> {
        Ok(serde_json::from_str(line)?)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStringExt;

    use super::*;

    #[test]
    fn a_start_passes_whole_and_leaves_what_follows() {
        let start = Start {
            program: OsString::from_vec(b"/opt/\xff/bin".into()),
            argv: vec!["bin".into(), "two\nlines".into(), String::new()],
            env: vec![("PORT".into(), "x".repeat(200_000))],
            working_dir: "/".into(),
        };
        let mut bytes = start.encode().unwrap();
        bytes.push(TERMINATE);
        let mut rest = bytes.as_slice();
        assert_eq!(Start::read(&mut rest).unwrap(), start);
        assert_eq!(rest, [TERMINATE]);
        assert!(Start::read(&bytes[..bytes.len() / 2]).is_err(), "a start that was cut short starts nothing");
    }

    #[test]
    fn a_report_is_one_line() {
        for report in [
            Report::Started { pid: 7 },
            Report::CannotStart { reason: "two\nlines".into() },
            Report::ExitedWithCode(1),
            Report::EndedBySignal(9),
            Report::Gone,
        ] {
            let line = report.encode().unwrap();
            assert_eq!(line.find('\n'), Some(line.len() - 1), "{line:?}");
            assert_eq!(Report::decode(line.trim_end()).unwrap(), report);
        }
    }
}
