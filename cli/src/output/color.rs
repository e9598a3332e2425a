//! Colours: only on a terminal, and not for those who asked for none (<https://no-color.org>).

use std::{env, ffi::OsStr};

use reveille_core::phase::Phase;

/// What a colour says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Paint {
    /// Nothing.
    #[default]
    Plain,
    /// A title.
    Bold,
    /// Of little interest.
    Dim,
    /// As it should be.
    Good,
    /// On its way.
    Busy,
    /// Wrong.
    Bad,
}

impl Paint {
    /// The colour of a phase.
    pub fn of(phase: Phase) -> Self {
        match phase {
            Phase::Asleep => Self::Dim,
            Phase::Waking | Phase::FallingAsleep => Self::Busy,
            Phase::Awake => Self::Good,
        }
    }

    /// The parameters of ECMA-48's SGR sequence.
    fn code(self) -> Option<&'static str> {
        match self {
            Self::Plain => None,
            Self::Bold => Some("1"),
            Self::Dim => Some("2"),
            Self::Good => Some("32"),
            Self::Busy => Some("33"),
            Self::Bad => Some("1;31"),
        }
    }
}

/// Whether there are colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Palette {
    on: bool,
}

impl Palette {
    /// No colours.
    pub const OFF: Self = Self { on: false };
    /// Colours.
    pub const ON: Self = Self { on: true };

    /// Colours if this is a terminal that has them, and `NO_COLOR` is unset or empty.
    pub fn detect(is_terminal: bool) -> Self {
        Self::decide(is_terminal, env::var_os("NO_COLOR").as_deref(), env::var_os("TERM").as_deref())
    }

    fn decide(is_terminal: bool, no_color: Option<&OsStr>, term: Option<&OsStr>) -> Self {
        let unwanted = no_color.is_some_and(|value| !value.is_empty()) || term.is_some_and(|t| t == "dumb");
        Self { on: is_terminal && !unwanted }
    }

    /// The text in that colour.
    pub fn paint(self, paint: Paint, text: &str) -> String {
        match paint.code() {
            Some(code) if self.on && !text.is_empty() => format!("\x1b[{code}m{text}\x1b[0m"),
            _ => text.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_only_for_those_who_want_them() {
        let term = Some(OsStr::new("xterm"));
        assert_eq!(Palette::decide(true, None, term), Palette::ON);
        assert_eq!(Palette::decide(true, Some(OsStr::new("")), None), Palette::ON);
        assert_eq!(Palette::decide(true, Some(OsStr::new("1")), term), Palette::OFF);
        assert_eq!(Palette::decide(true, None, Some(OsStr::new("dumb"))), Palette::OFF);
        assert_eq!(Palette::decide(false, None, term), Palette::OFF);
    }

    #[test]
    fn painted_text_is_reset() {
        assert_eq!(Palette::ON.paint(Paint::Good, "ok"), "\x1b[32mok\x1b[0m");
        assert_eq!(Palette::ON.paint(Paint::Plain, "ok"), "ok");
        assert_eq!(Palette::OFF.paint(Paint::Bad, "ok"), "ok");
    }
}
