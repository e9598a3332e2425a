//! Pieces of the schema by which an API server checks a `ScaledApp` before it is stored.
//!
//! What JSON schema cannot say, such as the range of a duration, is a rule in CEL with a message that says what to
//! write. Ranges come from [`ranges`](crate::policy::ranges), as those of `resolve` do: the two cannot differ.
//!
//! An API server refuses a schema whose rules might be slow, going by the longest text and list that it allows. So
//! every text and every list has a bound.

use std::{ops::RangeInclusive, time::Duration};

use schemars::{Schema, SchemaGenerator, json_schema};
use serde_json::{Value, json};

use crate::quantity::{ByteSize, HumanDuration};

/// Where CEL rules stand in a schema.
const RULES: &str = "x-kubernetes-validations";

/// The longest duration or size that is read, in characters: `29d23h59m59s999ms` has 17.
pub(crate) const MAX_QUANTITY: u32 = 32;

/// What [`HumanDuration`] reads, without blanks. Numbers are bounded so that no rule's arithmetic overflows.
pub(crate) const DURATION_PATTERN: &str = "^(0|([0-9]{1,10}(d|h|m|s|ms))+)$";

/// What [`ByteSize`] reads, without blanks and bounded as well.
pub(crate) const SIZE_PATTERN: &str = "^([0-9]{1,12}(B|k|M|Ki|Mi)?|[0-9]{1,9}(G|Gi))$";

/// A change of a schema, as schemars' attribute `transform` takes it.
pub(crate) trait Change: FnMut(&mut Schema) {}

impl<T: FnMut(&mut Schema)> Change for T {}

/// Adds a rule in CEL and what is said when it does not hold.
pub(crate) fn rule(rule: &str, message: &str) -> impl Change + use<> {
    add_rule(json!({"rule": rule, "message": message}))
}

/// The same for a rule about several fields, with the one that the message is about, such as `.replicas`.
pub(crate) fn rule_at(field: &str, rule: &str, message: &str) -> impl Change + use<> {
    add_rule(json!({"rule": rule, "message": message, "fieldPath": field}))
}

fn add_rule(rule: Value) -> impl Change {
    move |schema: &mut Schema| {
        let rules = schema.ensure_object().entry(RULES).or_insert_with(|| json!([]));
        rules.as_array_mut().expect("rules are only added here").push(rule.clone());
    }
}

/// Does one change after the other.
pub(crate) fn both(mut first: impl Change, mut second: impl Change) -> impl Change {
    move |schema: &mut Schema| {
        first(schema);
        second(schema);
    }
}

/// A duration within a range.
pub(crate) fn duration(range: RangeInclusive<Duration>) -> impl Change {
    let (rule, message) = (in_range("self", &range), duration_message(&range));
    self::rule(&rule, &message)
}

/// A duration within a range, or `never`.
pub(crate) fn ttl(range: RangeInclusive<Duration>) -> impl Change {
    let rule = format!("self == 'never' || {}", in_range("self", &range));
    self::rule(&rule, &format!("{}; or never", duration_message(&range)))
}

fn duration_message(range: &RangeInclusive<Duration>) -> String {
    format!(
        "write numbers with units (ms, s, m, h, d) from {} to {}, such as 90s, 5m or 1h30m",
        HumanDuration(*range.start()),
        HumanDuration(*range.end())
    )
}

/// CEL's own durations know no days, so the sum is made here, in milliseconds.
fn in_range(text: &str, range: &RangeInclusive<Duration>) -> String {
    let millis = |duration: &Duration| duration.as_millis();
    format!(
        "{text}.matches('{DURATION_PATTERN}') && \
         [{text}.findAll('[0-9]+[a-z]+').map(part, \
         int(part.find('[0-9]+')) * {{'d': 86400000, 'h': 3600000, 'm': 60000, 's': 1000, 'ms': 1}}[part.find('[a-z]+')]\
         ).sum()].all(ms, {} <= ms && ms <= {})",
        millis(range.start()),
        millis(range.end()),
    )
}

/// A number of bytes within a range that ends with whole GiB.
pub(crate) fn size(range: RangeInclusive<ByteSize>) -> impl Change {
    let (from, to) = (range.start(), range.end());
    let rule = format!(
        "type(self) == int ? {0} <= int(self) && int(self) <= {1} : \
         self.matches('{SIZE_PATTERN}') && [int(self.find('^[0-9]+')) * \
         {{'': 1, 'B': 1, 'k': 1000, 'M': 1000000, 'G': 1000000000, 'Ki': 1024, 'Mi': 1048576, 'Gi': 1073741824}}\
         [self.find('[A-Za-z]*$')]].all(bytes, {0} <= bytes && bytes <= {1})",
        from.0, to.0
    );
    self::rule(&rule, &format!("write a number of bytes from {from} to {to}, such as 1048576, 512Ki or 64Mi"))
}

/// A whole number within a range.
pub(crate) fn integer(range: RangeInclusive<u32>) -> impl Change {
    move |schema: &mut Schema| {
        let object = schema.ensure_object();
        object.insert("minimum".into(), (*range.start()).into());
        object.insert("maximum".into(), (*range.end()).into());
    }
}

/// A text of at most so many characters.
pub(crate) fn text(max_length: u32) -> impl Change {
    move |schema: &mut Schema| {
        schema.ensure_object().insert("maxLength".into(), max_length.into());
    }
}

/// A text of at most so many characters for which a rule holds.
pub(crate) fn checked(max_length: u32, rule: &str, message: &str) -> impl Change + use<> {
    both(text(max_length), self::rule(rule, message))
}

/// A list of at most so many items, each of which is changed.
pub(crate) fn list(max_items: u32, mut item: impl Change) -> impl Change {
    move |schema: &mut Schema| {
        let object = schema.ensure_object();
        object.insert("maxItems".into(), max_items.into());
        let items: &mut Schema =
            object.get_mut("items").and_then(|items| items.try_into().ok()).expect("a list has items");
        item(items);
    }
}

/// A list that holds at most one item of each value of a field, and is merged by it.
pub(crate) fn keyed(field: &'static str) -> impl Change {
    move |schema: &mut Schema| {
        let object = schema.ensure_object();
        object.insert("x-kubernetes-list-type".into(), "map".into());
        object.insert("x-kubernetes-list-map-keys".into(), json!([field]));
    }
}

/// Takes away what a type says about itself: where it may be left out, kube would have that replace what the field
/// says.
pub(crate) fn undescribed(schema: &mut Schema) {
    schema.remove("description");
}

/// A port by its number or its name, unchecked.
pub(crate) fn any_port(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"x-kubernetes-int-or-string": true})
}

/// A port by its number or its name.
pub(crate) fn port() -> Schema {
    json_schema!({
        "x-kubernetes-int-or-string": true,
        RULES: [{
            "rule": "type(self) == int ? 1 <= int(self) && int(self) <= 65535 : \
                     size(self) <= 63 && self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$') && self.matches('[a-z]')",
            "message": "write the number of a port, from 1 to 65535, or the name of a port of the Service, such as http",
        }],
    })
}

/// That exactly one of these fields is there.
pub(crate) fn exactly_one(fields: &[&str], message: &str) -> impl Change + use<> {
    let given: Vec<_> = fields.iter().map(|field| format!("has(self.{field})")).collect();
    rule(&format!("[{}].exists_one(given, given)", given.join(", ")), message)
}
