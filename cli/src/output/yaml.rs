//! Writing YAML, for files that people read and keep.
//!
//! Only what JSON has is written, in block style. A text that could be taken for something else is quoted, as JSON
//! quotes it, which YAML 1.2 reads; a long one is folded. Which texts are safe without quotes is decided narrowly:
//! a quote too many does no harm.

use serde_json::{Map, Value};

/// Lines are folded at this many characters, indentation included.
const WIDTH: usize = 110;
/// What a text without quotes must not be, but for case and dots: YAML takes these for something else.
const WORDS: [&str; 12] = ["null", "true", "false", "yes", "no", "on", "off", "y", "n", "inf", "nan", ""];
/// A folded text has this many characters for itself, however deep it stands.
const MIN_WIDTH: usize = 40;

/// The value as a YAML document, with a final line break.
pub fn to_yaml(value: &Value) -> String {
    let mut out = String::new();
    match value {
        Value::Object(map) if !map.is_empty() => mapping(&mut out, map, 0, ""),
        Value::Array(items) if !items.is_empty() => list(&mut out, items, 0),
        scalar => out.push_str(&inline(scalar)),
    }
    if !out.ends_with('\n') {
        out.push('\n');
    }
    out
}

/// Writes the entries of a mapping. `lead` stands before the first one instead of its indentation.
fn mapping(out: &mut String, map: &Map<String, Value>, indent: usize, lead: &str) {
    for (i, (key, value)) in map.iter().enumerate() {
        match (i, lead) {
            (0, "") => out.push_str(&" ".repeat(indent)),
            (0, lead) => out.push_str(lead),
            _ => out.push_str(&" ".repeat(indent)),
        }
        out.push_str(&text(key));
        out.push(':');
        match value {
            Value::Object(map) if !map.is_empty() => {
                out.push('\n');
                mapping(out, map, indent + 2, "");
            }
            Value::Array(items) if !items.is_empty() => {
                out.push('\n');
                list(out, items, indent);
            }
            Value::String(text) if is_long(text, indent + key.len() + 2) => folded(out, text, indent + 2),
            scalar => {
                out.push(' ');
                out.push_str(&inline(scalar));
                out.push('\n');
            }
        }
    }
}

/// Writes the items of a list, the dashes at `indent`.
fn list(out: &mut String, items: &[Value], indent: usize) {
    for item in items {
        let dash = format!("{}- ", " ".repeat(indent));
        match item {
            Value::Object(map) if !map.is_empty() => mapping(out, map, indent + 2, &dash),
            Value::Array(items) if !items.is_empty() => {
                out.push_str(dash.trim_end());
                out.push('\n');
                list(out, items, indent + 2);
            }
            Value::String(text) if is_long(text, indent + 2) => {
                out.push_str(dash.trim_end());
                folded(out, text, indent + 2);
            }
            scalar => {
                out.push_str(&dash);
                out.push_str(&inline(scalar));
                out.push('\n');
            }
        }
    }
}

fn inline(value: &Value) -> String {
    match value {
        Value::String(value) => text(value),
        // 5.0 is 5: JSON does not tell them apart, and Kubernetes writes bounds of whole numbers so.
        Value::Number(number) => match number.as_f64() {
            Some(float) if number.is_f64() && float.fract() == 0.0 && float.abs() < 1e15 => {
                format!("{float:.0}")
            }
            _ => number.to_string(),
        },
        value => value.to_string(),
    }
}

/// A text on its line: as it stands if nothing else could be meant.
fn text(text: &str) -> String {
    // Neither a number nor any sign of YAML's own begins so; what remains are YAML's words, of older versions, too.
    let begins = text.trim_start_matches('.').starts_with(|c: char| c.is_ascii_alphabetic() || c == '/');
    let inside = |c: char| c.is_ascii_alphanumeric() || " /.$_-(),'+=;<>".contains(c);
    let word = text.to_ascii_lowercase();
    let is_taken = WORDS.contains(&word.trim_start_matches('.'));
    if begins && text.chars().all(inside) && !text.ends_with(' ') && !is_taken {
        return text.to_owned();
    }
    let mut quoted = String::with_capacity(text.len() + 2);
    for c in Value::from(text).to_string().chars() {
        match c {
            // JSON lets these stand; YAML does not, or takes them for the end of a line.
            '\u{7f}'..='\u{9f}' => quoted.push_str(&format!("\\x{:02x}", u32::from(c))),
            '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}' => {
                quoted.push_str(&format!("\\u{:04x}", u32::from(c)));
            }
            c => quoted.push(c),
        }
    }
    quoted
}

/// Whether a text is better folded than put on its line, of which `used` characters are taken: it is long, and folding
/// keeps it, blanks at the ends of lines and strange characters being what it would lose.
fn is_long(text: &str, used: usize) -> bool {
    let keeps = |line: &str| !line.starts_with(' ') && !line.ends_with(' ') && !line.contains("  ");
    let is_plain = |c: char| c == '\n' || (' '..='~').contains(&c);
    used + text.len() > WIDTH
        && !text.starts_with('\n')
        && !text.ends_with('\n')
        && text.chars().all(is_plain)
        && text.split('\n').all(keeps)
}

/// Writes a text over several lines. A break of a line stands for a blank, and an empty line for a break.
fn folded(out: &mut String, text: &str, indent: usize) {
    out.push_str(" >-\n");
    let width = WIDTH.saturating_sub(indent).max(MIN_WIDTH);
    let margin = " ".repeat(indent);
    for (i, paragraph) in text.split('\n').enumerate() {
        if i > 0 {
            out.push('\n');
        }
        let mut line = String::new();
        for word in paragraph.split(' ') {
            if !line.is_empty() && line.len() + 1 + word.len() > width {
                out.push_str(&format!("{margin}{line}\n"));
                line.clear();
            }
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
        if !line.is_empty() {
            out.push_str(&format!("{margin}{line}\n"));
        }
    }
}

#[cfg(test)]
#[path = "yaml_tests.rs"]
mod tests;
