//! The definition's copy in the chart, the objects that a cluster takes and refuses, and the reference.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use reveille_core::resource::{Reason, ScaledApp, crd as definition};

use super::*;
use crate::file::read_yaml;

fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

fn read(path: &str) -> String {
    fs::read_to_string(repository(path)).unwrap()
}

/// After a wanted change, run the test with `REVEILLE_BLESS=1` and read the difference.
#[test]
fn the_chart_has_the_same_definition() {
    let path = repository("deploy/chart/crds/scaledapp.yaml");
    let printed = to_yaml(&serde_json::to_value(definition()).unwrap());
    if std::env::var_os("REVEILLE_BLESS").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, &printed).unwrap();
    }
    let copy = fs::read_to_string(&path).unwrap_or_default();
    assert!(copy == printed, "{} is old: run this test with REVEILLE_BLESS=1", path.display());
}

#[test]
fn what_is_printed_reads_as_the_definition() {
    let definition = serde_json::to_value(definition()).unwrap();
    let read = read_yaml(&to_yaml(&definition)).unwrap();
    // The API server's own types tell whole numbers from others no more than YAML does.
    let again: k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition =
        serde_json::from_value(read).unwrap();
    assert_eq!(serde_json::to_value(again).unwrap(), definition);
}

/// The objects of a folder of `tests/cluster-objects`, each with its file's name and text. Of several in a file, the
/// last one is what the file is about.
fn objects(folder: &str) -> Vec<(String, String, String)> {
    let folder = repository("tests/cluster-objects").join(folder);
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut objects: Vec<_> = files
        .map(|path| {
            let text = fs::read_to_string(&path).unwrap();
            let last = text.rsplit("\n---\n").next().unwrap().to_owned();
            (path.file_stem().unwrap().to_str().unwrap().to_owned(), text, last)
        })
        .collect();
    objects.sort();
    objects
}

/// What Reveille itself says of an object that the API server let through.
fn problems(object: &str) -> Option<String> {
    let value = read_yaml(object).unwrap();
    let app: ScaledApp = match serde_json::from_value(without_nulls(value)) {
        Ok(app) => app,
        Err(error) => return Some(error.to_string()),
    };
    let problems = app.resolve().err()?;
    Some(problems.iter().map(|problem| format!("{problem}\n")).collect())
}

/// As the API server does with fields that have nothing behind them.
fn without_nulls(value: serde_json::Value) -> serde_json::Value {
    use serde_json::Value::{Null, Object};
    match value {
        Object(map) => Object(
            map.into_iter()
                .filter(|(_, value)| *value != Null)
                .map(|(key, value)| (key, without_nulls(value)))
                .collect(),
        ),
        value => value,
    }
}

#[test]
fn what_a_cluster_takes_reveille_takes() {
    let good = objects("good");
    assert!(good.len() >= 10);
    for (name, _, object) in good {
        assert_eq!(problems(&object), None, "{name}");
    }
}

/// Rules hold for what is written, not for what was stored before them: so whatever the API server refuses, Reveille
/// refuses, too.
#[test]
fn what_a_cluster_refuses_reveille_refuses() {
    let bad = objects("bad");
    assert!(bad.len() >= 50);
    for (name, text, object) in bad {
        assert!(text.starts_with("# refused: "), "{name} says which message is expected");
        let alone = text.contains("\n# by the API server alone: ");
        assert_eq!(problems(&object).is_none(), alone, "{name}: {:?}", problems(&object));
    }
}

const REFERENCE: &str = "docs/reference/scaledapp.md";

/// The code blocks of a language.
fn blocks(page: &str, language: &str) -> Vec<String> {
    let opening = format!("```{language}\n");
    page.split(&opening).skip(1).filter_map(|rest| rest.split("```").next()).map(str::to_owned).collect()
}

#[test]
fn the_examples_of_the_reference_are_right() {
    let examples = blocks(&read(REFERENCE), "yaml");
    assert_eq!(examples.len(), 3);
    for example in examples {
        assert_eq!(problems(&example), None, "{example}");
    }
}

/// A field that holds a value, with its path, and the schema behind it.
fn fields(path: &str, schema: &serde_json::Value, into: &mut Vec<(String, serde_json::Value)>) {
    let items = &schema["items"];
    match (schema["properties"].as_object(), items["properties"].as_object()) {
        (Some(properties), _) => properties.iter().for_each(|(name, schema)| {
            fields(format!("{path}.{name}").trim_start_matches('.'), schema, into);
        }),
        (None, Some(properties)) => {
            properties.iter().for_each(|(name, schema)| fields(&format!("{path}[].{name}"), schema, into));
        }
        (None, None) => into.push((path.to_owned(), schema.clone())),
    }
}

#[test]
fn the_reference_has_exactly_the_fields_of_the_schema_with_their_ranges() {
    let page = read(REFERENCE);
    let definition = serde_json::to_value(definition()).unwrap();
    let root = &definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"];
    for (part, heading) in [("spec", "| field of `spec` |"), ("status", "| field of `status` |")] {
        let tables = page.split(heading).skip(1).map(|rest| rest.split("\n\n").next().unwrap());
        let rows: Vec<_> = tables.flat_map(str::lines).filter(|line| line.starts_with("| `")).collect();
        let names: BTreeSet<_> = rows.iter().map(|row| row.split('`').nth(1).unwrap().to_owned()).collect();
        assert_eq!(names.len(), rows.len(), "each field once");
        let mut expected = Vec::new();
        fields("", &root[part], &mut expected);
        assert_eq!(names, expected.iter().map(|(name, _)| name.clone()).collect(), "{part}");
        for (name, schema) in expected {
            let row = rows.iter().find(|row| row.starts_with(&format!("| `{name}` |"))).unwrap();
            let range = (part == "spec").then(|| range(&schema)).flatten();
            assert!(range.as_ref().is_none_or(|range| row.contains(range)), "{name}: {range:?}: {row}");
        }
    }
}

/// The range of a field as the reference writes it.
fn range(schema: &serde_json::Value) -> Option<String> {
    let bound = |name: &str| schema[name].as_f64().map(|bound| thousands(bound as u64));
    if let (Some(from), Some(to)) = (bound("minimum"), bound("maximum")) {
        return Some(format!("{from} to {to}"));
    }
    let rules = schema["x-kubernetes-validations"].as_array()?;
    let (_, range) = rules[0]["message"].as_str()?.split_once(" from ")?;
    let (range, _) = range.split_once(", such as ")?;
    (schema["maxLength"] == 32 || schema["pattern"].is_string()).then(|| range.to_owned())
}

fn thousands(number: u64) -> String {
    match number {
        0..1_000 => number.to_string(),
        _ => format!("{},{:03}", thousands(number / 1_000), number % 1_000),
    }
}

#[test]
fn the_reference_has_every_reason_with_its_remedy() {
    let page = read(REFERENCE);
    for reason in Reason::ALL {
        let row = page.lines().find(|line| line.starts_with(&format!("| `{reason}` |")));
        let remedy = format!("| {} |", reason.remedy());
        assert!(row.is_some_and(|row| row.ends_with(&remedy)), "{reason} {remedy}");
    }
}

#[test]
fn the_messages_of_the_reference_are_expected_in_a_real_cluster() {
    let expected: Vec<_> = objects("bad").into_iter().map(|(_, text, _)| text).collect();
    let quoted = blocks(&read(REFERENCE), "text");
    for line in quoted[0].lines() {
        let header = format!("# refused: {}\n", line.trim_start_matches("* "));
        assert!(expected.iter().any(|text| text.contains(&header)), "{line}");
    }
    assert!(quoted[0].lines().count() >= 10);
}
