//! The words of messages: what stands there, what belongs there, and what was probably meant.

use serde::de::{Expected, Unexpected};

/// The longest piece of the file that a message repeats, in characters.
const MAX_QUOTE: usize = 60;

/// The user's own text, made safe to print: in quotes, escaped, not longer than a line bears.
pub(super) fn quote(text: &str) -> String {
    match text.char_indices().nth(MAX_QUOTE) {
        None => format!("{text:?}"),
        Some((end, _)) => format!("{:?}", format!("{}…", &text[..end])),
    }
}

/// What of `known` was probably meant by `word`: the same but for case, `-` and `_`, or else a few letters off.
pub(crate) fn nearest<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    let word = normalize(word);
    // The bound keeps a mile-long key from costing a comparison of its square.
    if word.is_empty() || word.len() > 40 {
        return None;
    }
    // Of two letters, one that is wrong leaves nothing to go by.
    let allowed = if word.len() < 3 { 0 } else { (word.len() / 3).max(1) };
    known
        .iter()
        .map(|candidate| (strsim::damerau_levenshtein(&word, &normalize(candidate)), *candidate))
        .filter(|(distance, candidate)| *distance <= allowed && *distance < candidate.len())
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

fn normalize(word: &str) -> String {
    word.chars().filter(|c| !matches!(c, '-' | '_')).flat_map(char::to_lowercase).collect()
}

/// `did you mean …?`, or what there is to choose from.
pub(super) fn instead(word: &str, known: &[&str], kind: &str) -> String {
    match nearest(word, known) {
        Some(candidate) => format!("did you mean {candidate}?"),
        None => format!("{kind}: {}", known.join(", ")),
    }
}

/// Why a field that a `ScaledApp` has does not exist in the file. None if that has none of this name either.
pub(super) fn cluster_only(field: &str) -> Option<&'static str> {
    Some(match field {
        "target" => "exists in a cluster alone; an app of this file is a command",
        "service" | "traffic" => {
            "exists in a cluster alone; here clients reach an app by its ports and hosts"
        }
        "scrape" => "exists in a cluster alone; here every request passes Reveille, which counts it",
        "replicas" | "maxReplicas" => "exists in a cluster alone; here an app is one process",
        "suspend" => "exists in a cluster alone; write idle: {ttl: never}, or take the app out of the file",
        _ => return None,
    })
}

/// A list as it is written behind a field of this name.
pub(super) fn list_example(field: &str) -> &'static str {
    match field {
        "apps" => "[{name: web, command: [nginx], ports: [{listen: \"127.0.0.1:8081\"}]}]",
        "ports" => "[{listen: \"127.0.0.1:8081\"}]",
        "hosts" => "[web.localhost]",
        "trustedProxies" => "[10.0.0.0/8]",
        "paths" => "[/healthz]",
        "userAgents" => "[my-monitor]",
        "upgrades" => "[websocket]",
        _ => "[a, b]",
    }
}

/// What stands there.
pub(super) fn found(found: &Unexpected<'_>) -> String {
    match found {
        Unexpected::Bool(value) => value.to_string(),
        Unexpected::Unsigned(value) => value.to_string(),
        Unexpected::Signed(value) => value.to_string(),
        Unexpected::Float(value) => value.to_string(),
        Unexpected::Str(text) => quote(text),
        Unexpected::Unit | Unexpected::Option => "nothing".to_owned(),
        Unexpected::Seq => "a list".to_owned(),
        Unexpected::Map => "a mapping".to_owned(),
        other => other.to_string(),
    }
}

/// What stands there and what belongs there.
pub(super) fn mismatch(found: &Unexpected<'_>, expected: &dyn Expected) -> String {
    let found = self::found(found);
    let expected = expected.to_string();
    let expected = match expected.as_str() {
        "a string" if found == "nothing" => "a text; write \"\" for an empty one",
        "a string" => "a text",
        "a map" => "a mapping of names to values",
        "u32" => "a whole number from 0 up",
        text if text.starts_with("struct ") => "a mapping of fields to values",
        // Types that say what to write rather than what they are.
        text if text.starts_with("write ") => return format!("found {found}: {text}"),
        text => text,
    };
    format!("found {found}, expected {expected}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_letters_off_are_understood() {
        let known = ["web", "resnet50", "h1", "upstreamProtocol"];
        for (word, expected) in [
            ("wbe", Some("web")),
            ("Web", Some("web")),
            ("resnet-50", Some("resnet50")),
            ("resnet", Some("resnet50")),
            ("H1", Some("h1")),
            ("upstream_protocol", Some("upstreamProtocol")),
            ("h3", None),
            ("w", None),
            ("postgres", None),
            ("", None),
        ] {
            assert_eq!(nearest(word, &known), expected, "{word}");
        }
    }
}
