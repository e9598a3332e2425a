//! What is written reads the same.

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::file::read_yaml;

#[test]
fn it_is_written_as_people_write_it() {
    let long = "The quick brown fox jumps over the lazy dog. ".repeat(5);
    let value = json!({
        "apiVersion": "v1",
        "empty": {"list": [], "map": {}, "text": "", "nothing": null},
        "items": [{"a": 1, "b": [true, "true"]}, [1, 2], "x: y", 5.0, 0.5],
        "long": format!("{}\n\n# Next.", long.trim()),
        "path": ".spec.target.name",
        "@": "0x1f",
    });
    let expected = r##"
apiVersion: v1
empty:
  list: []
  map: {}
  text: ""
  nothing: null
items:
- a: 1
  b:
  - true
  - "true"
-
  - 1
  - 2
- "x: y"
- 5
- 0.5
long: >-
  The quick brown fox jumps over the lazy dog. The quick brown fox jumps over the lazy dog. The quick brown
  fox jumps over the lazy dog. The quick brown fox jumps over the lazy dog. The quick brown fox jumps over the
  lazy dog.


  # Next.
path: .spec.target.name
"@": "0x1f"
"##;
    assert_eq!(to_yaml(&value), expected.trim_start());
}

fn any_value() -> impl Strategy<Value = Value> {
    let text = prop_oneof![
        "[a-z]{1,6}( [a-z#:-]{1,9}){0,30}(\n{1,3}[a-z]{1,6}( [a-z]{1,9}){0,30}){0,2}",
        "\\PC{0,20}",
        ".{0,12}",
        "[-.0-9a-zA-Z:#?!&*<>=~ ]{0,6}",
        prop::sample::select(vec![
            "null", "~", "yes", "Off", ".inf", "1_000", "0o7", "---", "<<", "=", "- a", "a #b"
        ])
        .prop_map(str::to_owned),
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        text.clone().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 5, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::vec((text.clone(), inner), 0..5)
                .prop_map(|entries| Value::Object(entries.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn what_is_written_reads_the_same(value in any_value()) {
        let written = to_yaml(&value);
        prop_assert_eq!(read_yaml(&written).unwrap(), value, "{}", written);
    }
}
