//! Whatever a file contains, reading it ends, without a panic, and says something.

use std::fmt::Write;

use proptest::prelude::*;

use super::{GOOD, parse};

/// Pieces that matter to YAML or to the file.
const PIECES: &[&str] = &[
    "\t",
    "\n",
    "\r",
    "  ",
    "- ",
    ": ",
    ":",
    "?",
    "&a ",
    "*a",
    "!!str ",
    "!x ",
    "|\n",
    ">-\n",
    "[",
    "]",
    "{",
    "}",
    ",",
    "'",
    "\"",
    "#",
    "---\n",
    "...\n",
    "%YAML 1.2\n",
    "@",
    "`",
    "~",
    "null",
    "\0",
    "\u{feff}",
    "\u{2028}",
    "é",
    "🦀",
    "0",
    "-1",
    "1e999",
    "<<",
    "name",
    "apps",
    "ports",
    "\\",
    "\\u",
];

/// Changes of a text: (where, how much goes, what comes).
fn changes() -> impl Strategy<Value = Vec<(prop::sample::Index, usize, prop::sample::Index)>> {
    prop::collection::vec((any::<prop::sample::Index>(), 0..20usize, any::<prop::sample::Index>()), 1..8)
}

fn check(text: &str) {
    if let Err(problems) = parse(text) {
        let printed = problems.to_string();
        assert!(printed.lines().count() >= 2 && printed.starts_with("reveille.yaml:"), "{printed}");
        assert!(problems.list().iter().all(|problem| !problem.reason.is_empty()), "{printed}");
        assert!(!printed.contains(['\0', '\r', '\u{1b}', '\u{2028}']), "{printed:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn a_changed_file_never_panics(changes in changes()) {
        let mut text: Vec<char> = GOOD.chars().collect();
        for (at, goes, comes) in changes {
            let at = at.index(text.len() + 1);
            let end = (at + goes).min(text.len());
            text.splice(at..end, comes.get(PIECES).chars());
        }
        check(&text.into_iter().collect::<String>());
    }

    #[test]
    fn no_text_panics(pieces in prop::collection::vec(prop::sample::select(PIECES), 0..60)) {
        check(&pieces.concat());
    }
}

#[test]
fn bounds_end_what_grows() {
    let said = parse(&"[".repeat(50)).unwrap_err().to_string();
    assert!(said.contains("nested deeper than 32 levels"), "{said}");
    check(&"[".repeat(100_000));
    check(&"- ".repeat(100_000));
    check(&"{a: ".repeat(100_000));
    check(&"? ".repeat(100_000));
    let deep = "a:\n".to_owned() + &(1..1_000).map(|i| format!("{}- ", " ".repeat(i))).collect::<String>();
    check(&deep);
    let mut bomb = "a0: &a0 [x, x]\n".to_owned();
    for i in 1..30 {
        writeln!(bomb, "a{i}: &a{i} [*a{}, *a{}]", i - 1, i - 1).unwrap();
    }
    let said = parse(&bomb).unwrap_err().to_string();
    assert!(said.contains("more than 500000 values"), "{said}");
    let many = (0..200).map(|i| format!("field{i}: 1\n")).collect::<String>();
    let said = parse(&many).unwrap_err().to_string();
    assert!(said.ends_with("more than 100 problems, 100 are listed; nothing was started"), "{said}");
    assert_eq!(said.lines().count(), 101);
}

/// The largest file, wrong in every line: still answered at once.
#[test]
fn the_largest_file_is_read_in_reasonable_time() {
    let app = |i| format!("  - {{name: app{i}, comand: [sh], ports: [{{listen: 127.0.0.1:80}}]}}\n");
    let mut text = "apps:\n".to_owned();
    for i in 0.. {
        let app = app(i);
        if text.len() + app.len() > 1 << 20 {
            break;
        }
        text += &app;
    }
    let said = parse(&text).unwrap_err();
    assert!(!said.list().is_empty());
}
