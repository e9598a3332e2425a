//! What people see: tables, times, colours and YAML, and where they are written.

pub mod color;
pub mod table;
pub mod time;
pub mod yaml;

use std::io::{self, IsTerminal, Write};

use reveille_core::text::steers;

use self::color::{Paint, Palette};
use crate::exit::CliError;

/// Tables of tests are this wide, in columns.
const DEFAULT_WIDTH: usize = 80;

/// Where a command writes: results to one side, errors to the other.
pub struct Console {
    out: Box<dyn Write>,
    err: Box<dyn Write>,
    /// The colours of results.
    pub palette: Palette,
    err_palette: Palette,
    /// How wide a table may be, in columns.
    pub width: usize,
    /// How high the terminal is, in lines; none if results go elsewhere.
    pub height: Option<usize>,
}

impl Console {
    /// Standard output and standard error.
    pub fn system() -> Self {
        let (out, err) = (io::stdout(), io::stderr());
        let size = terminal_size::terminal_size_of(&out);
        Self {
            palette: Palette::detect(out.is_terminal()),
            err_palette: Palette::detect(err.is_terminal()),
            out: Box::new(out),
            err: Box::new(err),
            // Whatever reads it instead of a terminal gets all of it.
            width: size.map_or(usize::MAX, |(width, _)| width.0.into()),
            height: size.map(|(_, height)| height.0.into()),
        }
    }

    /// Two writers without colours, 80 columns wide.
    pub fn plain(out: Box<dyn Write>, err: Box<dyn Write>) -> Self {
        let (palette, width) = (Palette::OFF, DEFAULT_WIDTH);
        Self { out, err, palette, err_palette: palette, width, height: None }
    }

    /// Writes a line of the result, at once: a step is seen when it happens.
    ///
    /// # Errors
    /// Those of the writer; `BrokenPipe` when nobody reads any more.
    pub fn line(&mut self, text: &str) -> io::Result<()> {
        writeln!(self.out, "{text}")?;
        self.out.flush()
    }

    /// Takes over the size of the terminal, which may have changed.
    pub fn measure(&mut self) {
        if let Some((width, height)) =
            terminal_size::terminal_size_of(io::stdout()).filter(|_| self.height.is_some())
        {
            (self.width, self.height) = (width.0.into(), Some(height.0.into()));
        }
    }

    /// Writes text as it is, control sequences and all.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn raw(&mut self, text: &str) -> io::Result<()> {
        self.out.write_all(text.as_bytes())?;
        self.out.flush()
    }

    /// Says something that is no result. Where it cannot be written, nothing is lost.
    pub fn note(&mut self, text: &str) {
        let _ = writeln!(self.err, "{}", printable(text));
    }

    /// Says why the command failed. Where even that cannot be written, the exit code has to do.
    pub fn error(&mut self, error: &CliError) {
        let CliError::Told(report) = error else { return };
        let label = |text, paint| self.err_palette.paint(paint, text);
        let mut lines = vec![format!("{} {}", label("error:", Paint::Bad), printable(&report.message))];
        lines.extend(report.details.iter().map(|line| format!("  {}", printable(line))));
        if let Some(hint) = &report.hint {
            lines.push(format!("{} {}", label("hint:", Paint::Busy), printable(hint)));
        }
        let _ = writeln!(self.err, "{}", lines.join("\n"));
    }
}

/// Text of others, such as an app's output, as it is safe to print: nothing in it steers the terminal.
pub fn printable(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '\t' => ' ',
            c if steers(c) => char::REPLACEMENT_CHARACTER,
            c => c,
        })
        .collect()
}
