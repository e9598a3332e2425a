//! How the command line ends: its exit codes, and the errors that lead to them.

use std::{fmt, io, process::ExitCode};

/// What the shell learns. The codes are part of the interface: scripts rely on them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// What was asked for happened.
    Ok = 0,
    /// Reveille refused, or it went wrong.
    Failed = 1,
    /// The command line itself is wrong.
    Usage = 2,
    /// There is no Reveille at the address of `--server`.
    Unreachable = 3,
    /// The configuration is wrong; nothing was started (`EX_USAGE` of sysexits.h).
    BadConfig = 64,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why a command did not do what it was asked.
#[derive(Debug)]
pub enum CliError {
    /// To be told to the user.
    Told(Box<Report>),
    /// Nobody reads the output any more, as in `reveille status | head -1`. Said by the exit code alone.
    NobodyReads,
}

/// An error as it is printed: `error: …`, more lines, `hint: …`.
#[derive(Debug, PartialEq, Eq)]
pub struct Report {
    /// How the command ends.
    pub exit: Exit,
    /// What happened, to which app.
    pub message: String,
    /// Lines that explain it, such as the app's last output.
    pub details: Vec<String>,
    /// What to do.
    pub hint: Option<String>,
}

impl CliError {
    /// An error that ends with `exit`.
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self::Told(Box::new(Report { exit, message: message.into(), details: Vec::new(), hint: None }))
    }

    /// Adds what to do about it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        if let Self::Told(report) = &mut self {
            report.hint = Some(hint.into());
        }
        self
    }

    /// Adds lines that explain it.
    #[must_use]
    pub fn details(mut self, details: impl IntoIterator<Item = String>) -> Self {
        if let Self::Told(report) = &mut self {
            report.details.extend(details);
        }
        self
    }

    /// How the command ends.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Told(report) => report.exit,
            Self::NobodyReads => Exit::Failed,
        }
    }
}

impl From<io::Error> for CliError {
    /// The commands' only I/O of their own is their output.
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::NobodyReads,
            _ => Self::new(Exit::Failed, format!("the output cannot be written: {error}")),
        }
    }
}

impl fmt::Display for CliError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Told(report) => f.write_str(&report.message),
            Self::NobodyReads => f.write_str("nobody reads the output"),
        }
    }
}

impl std::error::Error for CliError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_are_those_of_the_documentation() {
        let codes = [Exit::Ok, Exit::Failed, Exit::Usage, Exit::Unreachable, Exit::BadConfig];
        assert_eq!(codes.map(|exit| exit as u8), [0, 1, 2, 3, 64]);
    }

    #[test]
    fn a_closed_pipe_is_no_news() {
        let closed = CliError::from(io::Error::from(io::ErrorKind::BrokenPipe));
        assert!(matches!(closed, CliError::NobodyReads));
        let full = CliError::from(io::Error::from(io::ErrorKind::StorageFull));
        assert_eq!(full.exit(), Exit::Failed);
    }
}
