//! What is wrong with a file, and how that is printed: one line for each problem, as compilers do, plain
//! enough for editors to jump to.

use std::{
    fmt::{self, Write as _},
    path::Path,
};

/// More problems than this are not listed: nobody reads them, and a file that big is the wrong file.
pub(super) const MAX_PROBLEMS: usize = 100;

/// A place in the file, as editors count: both from 1, the column in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The line.
    pub line: usize,
    /// The column.
    pub column: usize,
}

/// One thing that is wrong with a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where. None if it is about the file as a whole.
    pub place: Option<Place>,
    /// Which field, from the root of the file, such as `apps[0].idle.ttl`. Empty if it is about no field.
    pub field: String,
    /// What is wrong, and what would be right.
    pub reason: String,
}

/// Everything that is wrong with a file, in the order of its lines. Never empty.
///
/// Its `Display` ends with a line that says how many there are and that nothing was started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problems {
    file: String,
    list: Vec<Problem>,
}

impl Problems {
    /// Sorts the problems of `file`.
    pub(super) fn new(file: &Path, mut list: Vec<Problem>) -> Self {
        debug_assert!(!list.is_empty(), "problems without a problem");
        list.sort_by_key(|problem| problem.place);
        Self { file: file.display().to_string(), list }
    }

    /// One problem of the file as a whole.
    pub(super) fn of_file(file: &Path, reason: impl Into<String>) -> Self {
        Self::new(file, vec![Problem { place: None, field: String::new(), reason: reason.into() }])
    }

    /// The problems, in the order of their lines.
    pub fn list(&self) -> &[Problem] {
        &self.list
    }

    /// The problems with a last line that says how many there are and what follows from that, such as
    /// `nothing was started`.
    pub fn display<'a>(&'a self, consequence: &'a str) -> impl fmt::Display + 'a {
        WithSummary { problems: self, consequence }
    }

    /// One line for each problem, without a summary; each ends with a line break.
    pub fn lines(&self) -> String {
        Lines(self).to_string()
    }
}

struct Lines<'a>(&'a Problems);

impl fmt::Display for Lines<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for problem in self.0.list.iter().take(MAX_PROBLEMS) {
            f.write_str(&self.0.file)?;
            if let Some(Place { line, column }) = problem.place {
                write!(f, ":{line}:{column}")?;
            }
            if !problem.field.is_empty() {
                write!(f, ": {}", problem.field)?;
            }
            writeln!(f, ": {}", Printable(&problem.reason))?;
        }
        Ok(())
    }
}

/// A text in which nothing can end a line or steer a terminal: paths and names come from the file.
struct Printable<'a>(&'a str);

impl fmt::Display for Printable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            // Line and paragraph separators, and the marks that turn the direction of text.
            let steers = matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
            if c.is_control() || steers {
                write!(f, "{}", c.escape_default())?;
            } else {
                f.write_char(c)?;
            }
        }
        Ok(())
    }
}

struct WithSummary<'a> {
    problems: &'a Problems,
    consequence: &'a str,
}

impl fmt::Display for WithSummary<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Lines(self.problems).fmt(f)?;
        let consequence = self.consequence;
        match self.problems.list.len() {
            1 => write!(f, "1 problem; {consequence}"),
            n if n > MAX_PROBLEMS => {
                write!(f, "more than {MAX_PROBLEMS} problems, {MAX_PROBLEMS} are listed; {consequence}")
            }
            n => write!(f, "{n} problems; {consequence}"),
        }
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.display("nothing was started"), f)
    }
}

impl std::error::Error for Problems {}
