//! The file while it is checked: its tree, and what was found wrong so far.
//!
//! A value that cannot be read is reported and taken out, and the rest is read again: so every wrong field
//! comes out in one go. What was taken out is remembered: a later check that only stumbles over the hole is
//! not reported, as that would be the same mistake twice.

use std::path::Path;

use serde::de::DeserializeOwned;

use super::{
    de::{self, Failure, Kind},
    hint,
    path::{FieldPath, Segment},
    problem::{MAX_PROBLEMS, Place, Problem, Problems},
    tree::{Content, Node},
};

/// A file under check.
pub(super) struct Document {
    root: Node,
    problems: Vec<Problem>,
    /// What was taken out, or is probably meant by what was.
    holes: Vec<FieldPath>,
}

impl Document {
    /// Begins with what reading the tree found.
    pub(super) fn new(root: Node, problems: Vec<Problem>) -> Self {
        Self { root, problems, holes: Vec::new() }
    }

    /// Reads the file, leaving out what is wrong. None if nothing of it can be read.
    pub(super) fn read<T: DeserializeOwned>(&mut self) -> Option<T> {
        while self.problems.len() <= MAX_PROBLEMS {
            match de::read(&self.root) {
                Ok(value) => return Some(value),
                Err(failure) => self.take_out(failure)?,
            }
        }
        None
    }

    /// Reports a field that can be read but is wrong. `field` counts the items that were left.
    pub(super) fn report(&mut self, field: &FieldPath, reason: impl Into<String>) {
        let (field, place) = self.locate(field);
        if !self.holes.iter().any(|hole| hole.is_related(&field)) {
            self.problems.push(Problem {
                place: Some(place),
                field: field.to_string(),
                reason: reason.into(),
            });
        }
    }

    /// Whether something at, in or around the field was taken out.
    pub(super) fn has_hole(&self, field: &FieldPath) -> bool {
        let (field, _) = self.locate(field);
        self.holes.iter().any(|hole| hole.is_related(&field))
    }

    /// The field as the file counts, and where it stands, or else where it would.
    pub(super) fn locate(&self, field: &FieldPath) -> (FieldPath, Place) {
        let mut at = Some(&self.root);
        let mut place = self.root.place;
        let mut path = FieldPath::default();
        for segment in &field.0 {
            let (next, segment) = match (at.map(|node| &node.content), segment) {
                (Some(Content::Map(entries)), Segment::Key(key)) => {
                    let entry = entries.iter().find(|entry| entry.key == *key);
                    place = entry.map_or(place, super::tree::Entry::place);
                    (entry.map(|entry| &entry.node), segment.clone())
                }
                (Some(Content::List(items)), Segment::Index(index)) => {
                    let item = items.get(*index);
                    place = item.map_or(place, |item| item.node.place);
                    (item.map(|item| &item.node), Segment::Index(item.map_or(*index, |item| item.index)))
                }
                _ => (None, segment.clone()),
            };
            at = next;
            path.0.push(segment);
        }
        (path, place)
    }

    /// `value` if nothing was found wrong.
    ///
    /// # Errors
    /// Everything that was.
    pub(super) fn finish<T>(self, value: Option<T>, file: &Path) -> Result<T, Problems> {
        match value {
            Some(value) if self.problems.is_empty() => Ok(value),
            _ => Err(Problems::new(file, self.problems)),
        }
    }

    /// Reports a value that cannot be read and takes it out. None if it is the whole file.
    fn take_out(&mut self, failure: Failure) -> Option<()> {
        let path = FieldPath(failure.steps.into_iter().rev().collect());
        let is_missing = matches!(failure.kind, Kind::Missing { .. });
        let (field, reason) = match failure.kind {
            Kind::Wrong(reason) => (path.clone(), reason),
            Kind::NoList { found } => {
                let field = match path.0.last() {
                    Some(Segment::Key(name)) => name.as_str(),
                    _ => "",
                };
                let example = hint::list_example(field);
                (path.clone(), format!("found {found}, expected a list, such as {example}"))
            }
            Kind::Missing { field } => (path.key(field), "missing".to_owned()),
            Kind::UnknownField { known } => {
                let name = match path.0.last() {
                    Some(Segment::Key(name)) => name.as_str(),
                    _ => "",
                };
                let elsewhere = hint::cluster_only(name);
                if let (None, Some(meant)) = (elsewhere, hint::nearest(name, known)) {
                    let mut sibling = path.clone();
                    sibling.0.pop();
                    let sibling = sibling.key(meant);
                    if find(&self.root, &sibling.0).is_none() {
                        self.holes.push(sibling);
                    }
                }
                let instead = match name {
                    "<<" => "merge keys are not supported; repeat the fields".to_owned(),
                    name => hint::instead(name, known, "the fields here are"),
                };
                let unknown = || format!("unknown field; {instead}");
                (path.clone(), elsewhere.map_or_else(unknown, str::to_owned))
            }
        };
        // What is missing since it was taken out was said already.
        if !is_missing || !self.holes.contains(&field) {
            self.problems.push(Problem { place: failure.place, field: field.to_string(), reason });
        }
        self.holes.push(field);
        remove(&mut self.root, &path.0).then_some(())
    }
}

/// The value at `path`.
fn find<'a>(node: &'a Node, path: &[Segment]) -> Option<&'a Node> {
    let Some((first, rest)) = path.split_first() else { return Some(node) };
    match (&node.content, first) {
        (Content::Map(entries), Segment::Key(key)) => {
            entries.iter().find(|entry| entry.key == *key).and_then(|entry| find(&entry.node, rest))
        }
        (Content::List(items), Segment::Index(index)) => {
            items.iter().find(|item| item.index == *index).and_then(|item| find(&item.node, rest))
        }
        _ => None,
    }
}

/// Takes the value at `path` out of the tree. False if it is the root, or not there.
fn remove(node: &mut Node, path: &[Segment]) -> bool {
    let Some((first, rest)) = path.split_first() else { return false };
    match (&mut node.content, first) {
        (Content::Map(entries), Segment::Key(key)) => {
            let Some(i) = entries.iter().position(|entry| entry.key == *key) else { return false };
            if rest.is_empty() {
                entries.remove(i);
                return true;
            }
            remove(&mut entries[i].node, rest)
        }
        (Content::List(items), Segment::Index(index)) => {
            let Some(i) = items.iter().position(|item| item.index == *index) else { return false };
            if rest.is_empty() {
                items.remove(i);
                return true;
            }
            remove(&mut items[i].node, rest)
        }
        _ => false,
    }
}
