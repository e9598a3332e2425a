//! What an app prints: its last lines are kept, to explain why it could not start, and each line goes to the
//! log at debug level under the target `reveille::app_output`.
//!
//! Invariant: however much an app prints, and if it never ends a line, no more is kept of it than
//! [`LINES`] lines of [`LINE_BYTES`] bytes, and one that is being printed.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use reveille_core::app::AppId;
use tokio::io::{AsyncRead, AsyncReadExt};

/// How many lines are kept.
const LINES: usize = 20;
/// How long a kept line is at most, in bytes of UTF-8.
const LINE_BYTES: usize = 300;

/// What is kept of a line as it is printed: enough to see that it is too long, wherever its last character ends.
const RAW_BYTES: usize = LINE_BYTES + 4;
/// Stands at the end of a line that was cut.
const CUT: char = '…';

/// The last 20 lines that an app printed, each of at most 300 bytes, both of its streams together. Cheap to clone; stays readable when the
/// app is gone.
#[derive(Clone, Debug, Default)]
pub struct Tail(Arc<Mutex<Lines>>); // never held across an await, and for some microseconds at most

impl Tail {
    /// The last lines, oldest first, with an unfinished one at the end. Control characters and broken UTF-8
    /// are replaced, so that they may be printed on a terminal.
    pub fn lines(&self) -> Vec<String> {
        let lines = self.lock();
        let unfinished = (!lines.unfinished.is_empty()).then(|| clean(&lines.unfinished));
        let skip = (lines.finished.len() + usize::from(unfinished.is_some())).saturating_sub(LINES);
        lines.finished.iter().skip(skip).cloned().chain(unfinished).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Lines> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug, Default)]
struct Lines {
    finished: VecDeque<String>,
    unfinished: Vec<u8>,
}

impl Lines {
    fn push(&mut self, mut bytes: &[u8], app: &AppId) {
        while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
            self.extend(&bytes[..end]);
            self.finish(app);
            bytes = &bytes[end + 1..];
        }
        self.extend(bytes);
    }

    fn extend(&mut self, bytes: &[u8]) {
        let room = RAW_BYTES - self.unfinished.len();
        self.unfinished.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }

    fn finish(&mut self, app: &AppId) {
        let line = clean(&self.unfinished);
        self.unfinished.clear();
        tracing::debug!(target: "reveille::app_output", %app, "{line}");
        if self.finished.len() == LINES {
            self.finished.pop_front();
        }
        self.finished.push_back(line);
    }
}

/// Reads until the pipe ends, and keeps the last lines in `tail`.
pub(super) async fn follow(mut pipe: impl AsyncRead + Unpin, tail: Tail, app: AppId) {
    let mut buffer = vec![0; 8192];
    while let Ok(length @ 1..) = pipe.read(&mut buffer).await {
        tail.lock().push(&buffer[..length], &app);
    }
    let mut lines = tail.lock();
    if !lines.unfinished.is_empty() {
        lines.finish(&app);
    }
}

/// Makes a line fit to be kept and shown.
fn clean(raw: &[u8]) -> String {
    let text = String::from_utf8_lossy(raw);
    let mut line = String::with_capacity(LINE_BYTES);
    let mut characters = text.trim_end().chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            // A colour, or another "control sequence" of ECMA-48: it ends at the first of `@` to `~`.
            '\u{1b}' if characters.next_if_eq(&'[').is_some() => {
                characters.by_ref().find(|c| matches!(c, '@'..='~'));
            }
            '\t' => line.push(' '),
            c if c.is_control() || reorders(c) => line.push(char::REPLACEMENT_CHARACTER),
            c => line.push(c),
        }
    }
    if raw.len() == RAW_BYTES || line.len() > LINE_BYTES {
        let room = LINE_BYTES - CUT.len_utf8();
        line.truncate((0..=room).rev().find(|end| line.is_char_boundary(*end)).unwrap_or(0));
        line.push(CUT);
    }
    line
}

/// Whether a character changes the order or the lines of the text around it.
fn reorders(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    async fn tail_of(printed: &[u8]) -> Vec<String> {
        let tail = Tail::default();
        follow(printed, tail.clone(), AppId::local("web")).await;
        tail.lines()
    }

    #[tokio::test]
    async fn the_last_lines_are_kept() {
        let printed: String = (0..1000).map(|n| format!("line {n}\n")).collect();
        let kept = tail_of(printed.as_bytes()).await;
        assert_eq!(kept.len(), LINES);
        assert_eq!((kept[0].as_str(), kept[LINES - 1].as_str()), ("line 980", "line 999"));
        assert_eq!(tail_of(b"").await, [""; 0]);
        assert_eq!(tail_of(b"no end").await, ["no end"]);
    }

    #[test]
    fn a_line_that_is_being_printed_is_seen() {
        let tail = Tail::default();
        tail.lock().push(b"one\nPassword: ", &AppId::local("web"));
        assert_eq!(tail.lines(), ["one", "Password: ".trim_end()]);
    }

    #[tokio::test]
    async fn what_could_steer_a_terminal_is_harmless() {
        let kept =
            tail_of(b"\x1b[1;32mINFO\x1b[0m up\x07\r\nbad \xff\xfe\x00\n\x1b]0;title\n\xe2\x80\xaeabc\n")
                .await;
        assert_eq!(
            kept,
            ["INFO up\u{fffd}", "bad \u{fffd}\u{fffd}\u{fffd}", "\u{fffd}]0;title", "\u{fffd}abc"]
        );
    }

    #[tokio::test]
    async fn a_long_line_is_cut_between_characters() {
        let kept = tail_of("ä".repeat(10_000).as_bytes()).await;
        assert_eq!(kept.len(), 1);
        assert!(kept[0].len() <= LINE_BYTES && kept[0].ends_with("ä…"), "{kept:?}");
        let fits = "x".repeat(LINE_BYTES);
        assert_eq!(tail_of(fits.as_bytes()).await, [fits]);
    }

    #[test]
    fn a_program_that_never_ends_a_line_is_not_kept() {
        let tail = Tail::default();
        for _ in 0..10_000 {
            tail.lock().push(&[b'x'; 8192], &AppId::local("web"));
        }
        assert!(tail.lock().unfinished.capacity() <= 2 * RAW_BYTES);
    }

    proptest! {
        #[test]
        fn any_bytes_are_bounded_and_clean(chunks: Vec<Vec<u8>>) {
            let tail = Tail::default();
            for chunk in &chunks {
                tail.lock().push(chunk, &AppId::local("web"));
            }
            let kept = tail.lines();
            prop_assert!(kept.len() <= LINES);
            for line in kept {
                prop_assert!(line.len() <= LINE_BYTES && !line.chars().any(char::is_control), "{:?}", line);
            }
        }
    }
}
