//! The path of a field from the root of the file: `apps[0].idle.ttl`.

use std::fmt;

/// One step of a path.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Segment {
    /// Into a mapping.
    Key(String),
    /// Into a list.
    Index(usize),
}

/// The path of a field. Empty: the root.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct FieldPath(pub(super) Vec<Segment>);

impl FieldPath {
    /// The path of the entry `key`.
    pub(super) fn key(&self, key: &str) -> Self {
        self.with(Segment::Key(key.to_owned()))
    }

    /// The path of the item `index`.
    pub(super) fn index(&self, index: usize) -> Self {
        self.with(Segment::Index(index))
    }

    /// The path of what `text` names from here, as policies name their fields: `idle.ttl`, `probes.paths[2]`.
    pub(super) fn join(&self, text: &str) -> Self {
        let mut path = self.clone();
        for part in text.split('.') {
            let mut pieces = part.split('[');
            path.0.extend(pieces.next().map(|key| Segment::Key(key.to_owned())));
            let indexes = pieces.filter_map(|piece| piece.trim_end_matches(']').parse().ok());
            path.0.extend(indexes.map(Segment::Index));
        }
        path
    }

    /// Whether one of the two lies within the other, or they are the same.
    pub(super) fn is_related(&self, other: &Self) -> bool {
        self.0.iter().zip(&other.0).all(|(a, b)| a == b)
    }

    fn with(&self, segment: Segment) -> Self {
        let mut path = self.clone();
        path.0.push(segment);
        path
    }
}

impl fmt::Display for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, segment) in self.0.iter().enumerate() {
            match segment {
                Segment::Index(index) => write!(f, "[{index}]")?,
                Segment::Key(key) if !is_plain(key) => write!(f, "[{}]", super::hint::quote(key))?,
                Segment::Key(key) if i == 0 => f.write_str(key)?,
                Segment::Key(key) => write!(f, ".{key}")?,
            }
        }
        Ok(())
    }
}

/// Whether a key can stand in a path as it is.
fn is_plain(key: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '<');
    !key.is_empty() && key.len() <= 60 && key.chars().all(plain)
}
