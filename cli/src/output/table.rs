//! Tables that fit the terminal: where the columns are too wide together, the gaps between them shrink first,
//! then the columns that may be cut, the widest first.

use super::color::{Paint, Palette};

/// The narrowest that a column which may be cut becomes before the others are cut, too.
const FLEXIBLE_MIN: usize = 8;

/// The narrowest that any column becomes.
const MIN: usize = 4;

/// On which side a column's text stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Align {
    /// Text.
    Left,
    /// Numbers.
    Right,
}

/// What is kept of a text that is too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// The beginning, as of a name.
    KeepStart,
    /// The end, as of an address, whose port matters most.
    KeepEnd,
    /// All of it, unless nothing else helps.
    Last,
}

/// One column.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    /// Its title.
    pub title: &'static str,
    /// Where its text stands.
    pub align: Align,
    /// How it gives way.
    pub cut: Cut,
}

/// One field.
#[derive(Clone, Debug, Default)]
pub struct Cell {
    /// Its text, without colour.
    pub text: String,
    /// Its colour.
    pub paint: Paint,
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self { text: text.into(), paint: Paint::Plain }
    }
}

/// The lines of a table that is at most `width` columns wide, its titles first.
pub fn lines<const N: usize>(
    columns: &[Column; N],
    rows: &[[Cell; N]],
    width: usize,
    palette: Palette,
) -> Vec<String> {
    let natural: [usize; N] = std::array::from_fn(|i| {
        let cells = rows.iter().map(|row| row[i].text.chars().count());
        cells.chain([columns[i].title.chars().count()]).max().unwrap_or(0)
    });
    let (widths, gap) = fit(columns, natural, width);
    let titles = columns.map(|column| Cell { text: column.title.to_owned(), paint: Paint::Bold });
    std::iter::once(&titles).chain(rows).map(|row| line(columns, row, &widths, gap, palette)).collect()
}

/// How wide each column becomes, and the gap between two.
fn fit<const N: usize>(columns: &[Column; N], mut widths: [usize; N], width: usize) -> ([usize; N], usize) {
    let gap = if total(&widths, 2) <= width { 2 } else { 1 };
    let flexible = |i: usize| columns[i].cut != Cut::Last;
    while total(&widths, gap) > width {
        let candidates = (0..N).filter(|&i| flexible(i) && widths[i] > FLEXIBLE_MIN);
        let widest = candidates.max_by_key(|&i| widths[i]);
        let widest = widest.or_else(|| (0..N).filter(|&i| widths[i] > MIN).max_by_key(|&i| widths[i]));
        let Some(widest) = widest else { break };
        widths[widest] -= 1;
    }
    (widths, gap)
}

fn total(widths: &[usize], gap: usize) -> usize {
    widths.iter().sum::<usize>() + gap * widths.len().saturating_sub(1)
}

fn line<const N: usize>(
    columns: &[Column; N],
    row: &[Cell; N],
    widths: &[usize; N],
    gap: usize,
    palette: Palette,
) -> String {
    let mut line = String::new();
    for (i, (column, cell)) in columns.iter().zip(row).enumerate() {
        let text = cut(&cell.text, widths[i], column.cut);
        let pad = " ".repeat(widths[i] - text.chars().count());
        let painted = palette.paint(cell.paint, &text);
        line += &match column.align {
            Align::Left if i + 1 == N => painted,
            Align::Left => painted + &pad,
            Align::Right => pad + &painted,
        };
        if i + 1 < N {
            line += &" ".repeat(gap);
        }
    }
    line
}

/// The text in at most `width` characters, `…` standing for what is missing.
pub fn cut(text: &str, width: usize, cut: Cut) -> String {
    let length = text.chars().count();
    if length <= width {
        return text.to_owned();
    }
    let kept = width.saturating_sub(1);
    match cut {
        Cut::KeepEnd => std::iter::once('…').chain(text.chars().skip(length - kept)).collect(),
        Cut::KeepStart | Cut::Last => text.chars().take(kept).chain(['…']).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: [Column; 3] = [
        Column { title: "NAME", align: Align::Left, cut: Cut::KeepStart },
        Column { title: "HELD", align: Align::Right, cut: Cut::Last },
        Column { title: "LISTEN", align: Align::Left, cut: Cut::KeepEnd },
    ];

    fn table(rows: &[[&str; 3]], width: usize) -> Vec<String> {
        let rows: Vec<[Cell; 3]> = rows.iter().map(|row| row.map(Cell::from)).collect();
        lines(&COLUMNS, &rows, width, Palette::OFF)
    }

    #[test]
    fn columns_are_as_wide_as_their_text() {
        assert_eq!(
            table(&[["web", "3", "a:1"], ["triton", "12", "b"]], 80),
            ["NAME    HELD  LISTEN", "web        3  a:1", "triton    12  b",]
        );
    }

    #[test]
    fn gaps_shrink_before_text_is_cut() {
        assert_eq!(table(&[["web", "3", "127.0.0.1:8081"]], 24)[1], "web     3 127.0.0.1:8081");
        assert_eq!(table(&[["web", "3", "127.0.0.1:8081"]], 22)[1], "web     3 ….0.0.1:8081");
    }

    #[test]
    fn names_keep_their_start_and_addresses_their_end() {
        let name = "x".repeat(63);
        let lines = table(&[[&name, "3", "192.168.100.100:8081"]], 30);
        assert_eq!(lines[1], "xxxxxxxxxxx…    3 …00.100:8081");
        assert!(lines.iter().all(|line| line.chars().count() <= 30), "{lines:?}");
    }

    #[test]
    fn no_content_makes_it_too_wide() {
        let long = "y".repeat(90);
        for width in [20, 40, 80] {
            let lines = table(&[[&long, &long, &long]], width);
            assert!(lines.iter().all(|line| line.chars().count() <= width), "{lines:?}");
        }
    }

    #[test]
    fn colours_take_no_room() {
        let row = [Cell { text: "web".into(), paint: Paint::Good }, "1".into(), "a".into()];
        let line = &lines(&COLUMNS, &[row], 80, Palette::ON)[1];
        assert_eq!(line, "\x1b[32mweb\x1b[0m      1  a");
    }
}
