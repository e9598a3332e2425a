//! The file of keys: a line for each, of four words. Empty lines, and those that begin with `#`, say nothing.
//!
//! ```text
//! # name   SHA-256 of the key                                                namespaces  right
//! ci       9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08  team-a,ml   scale
//! grafana  60303ae22b998861bce3b28f33eec1be758a213c86c93c076dbe9f558c11c752  *           read
//! ```

use std::{collections::HashMap, fmt};

use reveille_core::app::check_name;

use super::{Key, KeyHash, Namespaces, Right};

/// The longest file that is read, in bytes: about 8,000 keys.
pub const MAX_BYTES: u64 = 1 << 20;

/// How many problems are told.
const MAX_PROBLEMS: usize = 20;

/// What is wrong with a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Which line, from 1.
    pub line: usize,
    /// What is wrong, and what to write instead. Never holds what could be a key.
    pub reason: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.reason)
    }
}

/// Reads the lines.
///
/// # Errors
/// Everything that is wrong with them, the first 20 problems. None of the keys is good then: one that was to be taken
/// out might be among those that could be read.
pub fn parse(text: &[u8]) -> Result<Vec<Key>, Vec<Problem>> {
    let (mut keys, mut problems) = (Vec::new(), Vec::new());
    let (mut names, mut hashes) = (HashMap::new(), HashMap::new());
    for (index, line) in text.split(|byte| *byte == b'\n').enumerate() {
        let number = index + 1;
        let read =
            std::str::from_utf8(line).map_err(|_| "it is no text in UTF-8".to_owned()).and_then(parse_line);
        let reason = match read {
            Ok(None) => continue,
            Ok(Some(key)) => {
                let twice = if let Some(first) = names.insert(key.name.clone(), number) {
                    Some(format!("the name {} is that of line {first}, too; each key has its own", key.name))
                } else {
                    hashes
                        .insert(key.hash, number)
                        .map(|first| format!("the key of line {first} once more; keep one"))
                };
                keys.push(key);
                twice
            }
            Err(reason) => Some(reason),
        };
        problems.extend(reason.map(|reason| Problem { line: number, reason }));
        if problems.len() == MAX_PROBLEMS {
            break;
        }
    }
    if problems.is_empty() { Ok(keys) } else { Err(problems) }
}

fn parse_line(line: &str) -> Result<Option<Key>, String> {
    let line = line.trim();
    if line.is_empty() || line.starts_with('#') {
        return Ok(None);
    }
    let words: Vec<&str> = line.split_whitespace().collect();
    let [name, hash, namespaces, right] = words[..] else {
        return Err(format!(
            "a key has 4 words (name, SHA-256, namespaces, read or scale), here are {}; `reveille key new` prints such a line",
            words.len()
        ));
    };
    Ok(Some(Key {
        name: check_key_name(name).map(|()| name.to_owned())?,
        hash: parse_hash(hash)?,
        namespaces: parse_namespaces(namespaces)?,
        right: match right {
            "read" => Right::Read,
            "scale" => Right::Scale,
            _ => return Err("the right is neither `read` nor `scale`".to_owned()),
        },
    }))
}

/// Checks the name of a key, which is a DNS label as all names here.
///
/// # Errors
/// A sentence that says what is wrong with it.
pub fn check_key_name(name: &str) -> Result<(), String> {
    check_name(name).map_err(|why| format!("the key's name is wrong: {why}"))
}

/// Reads namespaces as they are written in the file: `*`, or names with commas between.
///
/// # Errors
/// A sentence that says what is wrong with them.
pub fn parse_namespaces(text: &str) -> Result<Namespaces, String> {
    if text == "*" {
        return Ok(Namespaces::All);
    }
    let names: Vec<String> = text.split(',').map(str::to_owned).collect();
    for name in &names {
        check_name(name).map_err(|why| {
            format!("the namespaces are wrong ({why}); write names with commas and no spaces between, or * for all")
        })?;
    }
    Ok(Namespaces::These(names))
}

fn parse_hash(text: &str) -> Result<KeyHash, String> {
    if text.starts_with(super::new::PREFIX) {
        return Err(
            "this is a key and not its SHA-256: whoever reads this file has it; make a new one".to_owned()
        );
    }
    let wrong = || {
        format!(
            "the SHA-256 is 64 hexadecimal digits, this is something else of {} characters",
            text.chars().count()
        )
    };
    if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(wrong());
    }
    let mut hash = [0; 32];
    for (byte, digits) in hash.iter_mut().zip(text.as_bytes().chunks(2)) {
        let digits = std::str::from_utf8(digits).map_err(|_| wrong())?;
        *byte = u8::from_str_radix(digits, 16).map_err(|_| wrong())?;
    }
    Ok(KeyHash(hash))
}
