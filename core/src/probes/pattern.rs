//! Patterns of paths, as the user and the presets write them.
//!
//! A `*` stands for any characters of one segment, none included; as the last character it stands for anything
//! behind, `/` included. Everything else is compared as it stands: a path is neither decoded nor normalised,
//! so that a strange spelling of a probe wakes the app rather than one of a request being taken for a probe.
//!
//! A gRPC method is a path, too: `/package.Service/Method`.

use std::fmt;

/// A pattern of paths. Matching does not allocate.
#[derive(Clone, PartialEq, Eq)]
pub struct Pattern {
    text: String,
    /// Bytes before the first `*`: most paths differ from most patterns there already.
    literal: usize,
}

impl Pattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// A sentence that says why no path can match it.
    pub fn new(text: &str) -> Result<Self, String> {
        if !text.starts_with('/') {
            return Err(format!("{text:?} does not begin with '/'"));
        }
        if text.contains(['?', '#']) {
            return Err(format!("{text:?} has a query, which is not compared: write the path alone"));
        }
        if !text.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(format!("{text:?} is no path: blanks and all but ASCII are percent-encoded in one"));
        }
        Ok(Self { literal: text.find('*').unwrap_or(text.len()), text: text.to_owned() })
    }

    /// The pattern as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether a path (without query) matches.
    pub fn matches(&self, path: &str) -> bool {
        let (literal, rest) = self.text.split_at(self.literal);
        path.strip_prefix(literal).is_some_and(|path| match rest {
            "" => path.is_empty(),
            "*" => true,
            _ => matches(rest.as_bytes(), path.as_bytes()),
        })
    }
}

/// Only the last star is ever tried again: an earlier one of the same segment took as little as it could, and
/// those of earlier segments ended at the only `/` they can end at.
fn matches(mut pattern: &[u8], mut path: &[u8]) -> bool {
    // What follows the last star, and the path from where that is tried.
    let mut star: Option<(&[u8], &[u8])> = None;
    loop {
        match (pattern, path) {
            ([b'*'], _) | ([], []) => return true,
            ([b'*', rest @ ..], _) => {
                star = Some((rest, path));
                pattern = rest;
            }
            ([a, rest @ ..], [b, behind @ ..]) if a == b => (pattern, path) = (rest, behind),
            _ => match star {
                Some((rest, [taken, behind @ ..])) if *taken != b'/' => {
                    star = Some((rest, behind));
                    (pattern, path) = (rest, behind);
                }
                _ => return false,
            },
        }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.text, f)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The definition, tried in every way.
    fn by_definition(pattern: &[u8], path: &[u8]) -> bool {
        match (pattern, path) {
            ([b'*'], _) | ([], []) => true,
            ([b'*', rest @ ..], _) => {
                let end = path.iter().position(|&b| b == b'/').unwrap_or(path.len());
                (0..=end).any(|taken| by_definition(rest, &path[taken..]))
            }
            ([a, rest @ ..], [b, behind @ ..]) => a == b && by_definition(rest, behind),
            _ => false,
        }
    }

    #[test]
    fn a_star_stays_within_its_segment_but_for_the_last_one() {
        for (pattern, path, expected) in [
            ("/healthz", "/healthz", true),
            ("/healthz", "/healthz/", false),
            ("/healthz", "/health", false),
            ("/status/*", "/status/", true),
            ("/status/*", "/status/a/b", true),
            ("/status/*", "/status", false),
            ("/m/*/ready", "/m/resnet50/ready", true),
            ("/m/*/ready", "/m/a/b/ready", false),
            ("/m/*/ready", "/m/a/ready/", false),
            ("/m/*/ready", "/m/ready", false),
            ("/*memory/*/status", "/cudamemory/r/status", true),
            ("/*memory/*", "/cudamemory/a/b/c", true),
            ("/p.S/Get*Status", "/p.S/GetHealthStatus", true),
            ("/p.S/Get*Status", "/p.S/GetStatus", true),
            ("/p.S/Get*Status", "/p.S/GetStatusOfAll", false),
            ("/a*ab", "/aaab", true),
            ("/a*b*c/*", "/abxc/z", true),
            ("/*", "/", true),
        ] {
            assert_eq!(Pattern::new(pattern).unwrap().matches(path), expected, "{pattern} {path}");
        }
    }

    #[test]
    fn what_no_path_can_match_is_refused() {
        for bad in ["", "health", "*", "/a?b=c", "/a#b", "/a b", "/ä", "/a\n"] {
            assert!(Pattern::new(bad).is_err(), "{bad:?}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(5_000))]

        #[test]
        fn it_matches_what_the_definition_does(pattern in "/[ab/*]{0,8}", path in "/[ab/]{0,10}") {
            let matched = Pattern::new(&pattern).unwrap().matches(&path);
            prop_assert_eq!(matched, by_definition(pattern.as_bytes(), path.as_bytes()));
        }

        #[test]
        fn no_path_makes_it_slow_or_panic(pattern in "/[ -~]{0,40}", path in "\\PC{0,200}") {
            if let Ok(pattern) = Pattern::new(&pattern) {
                let _ = pattern.matches(&path);
            }
        }
    }
}
