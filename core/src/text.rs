//! Text of others, as it may be shown.

/// Whether a character steers what shows it instead of being shown: control characters, ends of lines and paragraphs, and
/// what turns the direction of writing round (Unicode TR 36, section 3.2), by which a line says something else than it seems.
pub fn steers(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_of_any_writing_are_shown_and_nothing_turns_them_round() {
        assert!("Größe שלום 世界 🚀 a\u{300}".chars().all(|c| !steers(c)));
        assert!("\u{1b}\u{7}\n\u{85}\u{202e}\u{2066}\u{2028}\u{200f}".chars().all(steers));
    }
}
