//! The reference of the file says what is so.

use std::{collections::BTreeSet, fs, path::Path};

use reveille_core::{policy::Preset, probes::triton};

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

/// The words in backticks, those of code blocks apart.
fn words(text: &str) -> BTreeSet<String> {
    let prose: String = text.split("```").step_by(2).collect();
    prose.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// serde knows every field, and says so when it meets one that it does not know.
#[test]
fn every_field_stands_in_it() {
    let page = read("../docs/reference/local-file.md");
    // The field and its type: in other cells, and in prose, a field may be mentioned without being explained.
    let cells = page.lines().filter(|line| line.starts_with("| `")).map(|row| {
        let cells: Vec<_> = row.split('|').take(3).collect();
        cells.concat()
    });
    let is_letter = |c: char| c.is_ascii_alphanumeric();
    let named: BTreeSet<String> = cells
        .flat_map(|cells| cells.split(|c| !is_letter(c)).map(str::to_owned).collect::<Vec<_>>())
        .collect();
    let mut checked = 0;
    for place in [
        "{X: 1}",
        "apps: [{X: 1}]",
        "apps: [{ports: [{X: 1}]}]",
        "apps: [{idle: {X: 1}}]",
        "apps: [{wake: {X: 1}}]",
        "apps: [{wake: {readiness: {X: 1}}}]",
        "apps: [{wake: {readiness: {http: {X: 1, path: /}}}}]",
        "apps: [{wake: {readiness: {tcp: {X: 1}}}}]",
        "apps: [{wake: {readiness: {grpc: {X: 1}}}}]",
        "apps: [{hold: {X: 1}}]",
        "apps: [{probes: {X: 1}}]",
        "apps: [{timeouts: {X: 1}}]",
    ] {
        let said = parse(&place.replace('X', "zzzzzzzzzzzz")).unwrap_err().to_string();
        let (_, fields) = said.split_once("the fields here are: ").unwrap_or_else(|| panic!("{said}"));
        for field in fields.lines().next().unwrap_or_default().split(", ") {
            assert!(named.contains(field), "{place}: {field} is not in the reference");
            checked += 1;
        }
    }
    assert!(checked >= 40, "{checked}");
}

#[test]
fn every_preset_and_every_call_of_triton_stands_in_it() {
    let page = read("../docs/reference/local-file.md");
    let section = |title: &str| {
        let (_, rest) = page.split_once(title).unwrap();
        rest.split("\n#").next().unwrap().to_owned()
    };
    let presets = section("\n### Presets\n");
    for preset in Preset::ALL {
        let row = presets.lines().find(|line| line.starts_with(&format!("| `{preset}` |"))).unwrap();
        assert!(row.contains(&format!("{:?}", preset.default_protocol()).to_uppercase()), "{row}");
    }
    let calls = section("\n### Triton's calls\n");
    for (class, row) in [
        (triton::Class::Work, "| wakes |"),
        (triton::Class::First, "| wakes, as clients call it before their first inference |"),
        (triton::Class::Choice, "| wakes, unless you count it among the probes |"),
        (triton::Class::Probe, "| probe: does not wake |"),
    ] {
        let written = calls.lines().find_map(|line| line.strip_prefix(row)).unwrap();
        let listed = triton::CALLS.iter().filter(|call| call.class == class);
        let listed: BTreeSet<String> = listed
            .flat_map(|call| call.http.iter().chain(call.grpc))
            // Said once, above the table.
            .filter(|path| !path.contains("/versions/"))
            .map(ToString::to_string)
            .collect();
        assert_eq!(words(written), listed, "{row}");
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
