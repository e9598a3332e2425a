//! The reference of the file says what is so.

use std::{fs, path::Path};

use super::parse;

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// The code blocks of a language.
fn blocks(page: &str, language: &str) -> Vec<String> {
    let opening = format!("```{language}\n");
    page.split(&opening).skip(1).filter_map(|rest| rest.split("```").next()).map(str::to_owned).collect()
}

#[test]
fn its_examples_are_right() {
    let page = read("../docs/reference/local-file.md");
    let files: Vec<_> = blocks(&page, "yaml").into_iter().filter(|text| text.contains("apps:")).collect();
    assert_eq!(files.len(), 2);
    for text in files {
        // The example must be right on a machine without python3, too.
        let config = parse(&text.replace("python3", "sh")).unwrap();
        assert_eq!(config.apps.len(), 1);
    }
}

#[test]
fn its_messages_are_really_printed() {
    let page = read("../docs/reference/local-file.md");
    let mut printed = String::new();
    for entry in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/file/tests/bad")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "out") {
            printed += &fs::read_to_string(path).unwrap();
        }
    }
    let quoted = blocks(&page, "text");
    // The second block depends on the machine and is checked with the addresses in use.
    for line in quoted[0].lines() {
        assert!(printed.lines().any(|printed| printed == line), "{line}");
    }
    assert!(quoted[0].lines().count() > 20);
}
