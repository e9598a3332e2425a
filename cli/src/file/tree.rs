//! The YAML text as a tree in which every node knows its place.
//!
//! Built from the parser's events, because the usual trees drop what is needed here: the places of keys, and
//! keys that are given twice. What the tree cannot mean (tags, keys that are no text) is reported and left
//! out, so that the rest is still checked. Size, depth and the growth by aliases are bounded.

use std::collections::HashMap;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, ScanError, Span, StrInput, Tag};

use super::{
    hint,
    path::{FieldPath, Segment},
    problem::{MAX_PROBLEMS, Place, Problem},
};

/// Nesting beyond this is no configuration: the deepest field stands at 6.
const MAX_DEPTH: usize = 32;
/// Values in all, those that aliases repeat included: about 35,000 apps.
const MAX_NODES: usize = 500_000;

/// A value and where it begins.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) place: Place,
    pub(super) content: Content,
}

/// What a value is.
#[derive(Clone, Debug)]
pub(super) enum Content {
    /// `plain`: written without quotes, so it may also be a number, a truth value or nothing.
    Scalar { text: String, plain: bool },
    /// In order.
    List(Vec<Item>),
    /// In order, no key twice.
    Map(Vec<Entry>),
}

/// An item of a list. It keeps its index when items before it are taken out.
#[derive(Clone, Debug)]
pub(super) struct Item {
    pub(super) index: usize,
    pub(super) node: Node,
}

/// An entry of a mapping.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) key_place: Place,
    pub(super) node: Node,
}

impl Node {
    /// Whether nothing is written: `~`, `null` or only the key.
    pub(super) fn is_null(&self) -> bool {
        matches!(&self.content, Content::Scalar { text, plain: true } if matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL"))
    }

    fn count(&self) -> usize {
        1 + match &self.content {
            Content::Scalar { .. } => 0,
            Content::List(items) => items.iter().map(|item| item.node.count()).sum(),
            Content::Map(entries) => entries.iter().map(|entry| entry.node.count()).sum(),
        }
    }

    fn depth(&self) -> usize {
        1 + match &self.content {
            Content::Scalar { .. } => 0,
            Content::List(items) => items.iter().map(|item| item.node.depth()).max().unwrap_or(0),
            Content::Map(entries) => entries.iter().map(|entry| entry.node.depth()).max().unwrap_or(0),
        }
    }
}

/// Reads the one document of `text`. None if nothing is written; what was wrong but could be left out goes to
/// `problems`.
///
/// # Errors
/// What keeps the rest from being read, such as broken syntax.
pub(super) fn read(text: &str, problems: &mut Vec<Problem>) -> Result<Option<Node>, Problem> {
    let mut reader = Reader {
        text,
        parser: Parser::new_from_str(text),
        anchors: HashMap::new(),
        path: FieldPath::default(),
        nodes: 0,
        problems,
    };
    let mut root = None;
    loop {
        let (event, span) = reader.next()?;
        match event {
            Event::StreamEnd => return Ok(root.filter(|root: &Node| !root.is_null())),
            Event::DocumentStart(_) if root.is_some() => {
                return Err(reader.problem(place(span.start), "a second document begins; a file holds one"));
            }
            Event::StreamStart | Event::DocumentStart(_) | Event::DocumentEnd | Event::Nothing => {}
            event => root = Some(reader.node(event, span, 0)?),
        }
    }
}

struct Reader<'t, 'p> {
    text: &'t str,
    parser: Parser<'t, StrInput<'t>>,
    anchors: HashMap<usize, Node>,
    path: FieldPath,
    nodes: usize,
    problems: &'p mut Vec<Problem>,
}

impl<'t> Reader<'t, '_> {
    fn next(&mut self) -> Result<(Event<'t>, Span), Problem> {
        match self.parser.next_event() {
            Some(Ok(event)) => Ok(event),
            Some(Err(error)) => Err(self.syntax(&error)),
            None => Ok((Event::StreamEnd, Span::default())),
        }
    }

    /// The value that `event` begins.
    fn node(&mut self, event: Event<'t>, span: Span, depth: usize) -> Result<Node, Problem> {
        let place = place(span.start);
        self.spend(1, depth, place)?;
        let (content, anchor) = match event {
            Event::Scalar(text, style, anchor, tag) => {
                let mut plain = style == ScalarStyle::Plain;
                plain &= !tag.as_deref().is_some_and(is_text);
                self.tag(tag.as_deref(), place);
                (Content::Scalar { text: text.into_owned(), plain }, anchor)
            }
            Event::SequenceStart(anchor, tag) => {
                self.tag(tag.as_deref(), place);
                (self.list(depth)?, anchor)
            }
            Event::MappingStart(anchor, tag) => {
                self.tag(tag.as_deref(), place);
                (self.map(depth)?, anchor)
            }
            Event::Alias(anchor) => {
                let Some(node) = self.anchors.get(&anchor).cloned() else {
                    return Err(self.problem(place, "this alias stands within what it repeats"));
                };
                self.spend(node.count(), depth + node.depth(), place)?;
                return Ok(node);
            }
            other => return Err(self.problem(place, format!("unexpected YAML: {other:?}"))),
        };
        let node = Node { place, content };
        if anchor != 0 {
            self.anchors.insert(anchor, node.clone());
        }
        Ok(node)
    }

    fn list(&mut self, depth: usize) -> Result<Content, Problem> {
        let mut items = Vec::new();
        loop {
            let (event, span) = self.next()?;
            if event == Event::SequenceEnd {
                return Ok(Content::List(items));
            }
            let index = items.len();
            self.path.0.push(Segment::Index(index));
            items.push(Item { index, node: self.node(event, span, depth + 1)? });
            self.path.0.pop();
        }
    }

    fn map(&mut self, depth: usize) -> Result<Content, Problem> {
        let mut entries: Vec<Entry> = Vec::new();
        let mut seen: HashMap<String, usize> = HashMap::new();
        loop {
            let (event, span) = self.next()?;
            if event == Event::MappingEnd {
                return Ok(Content::Map(entries));
            }
            let key = self.node(event, span, depth + 1)?;
            let (event, span) = self.next()?;
            let Content::Scalar { text, .. } = key.content else {
                self.report(key.place, "a key is a text, not a list or a mapping");
                self.node(event, span, depth + 1)?;
                continue;
            };
            self.path.0.push(Segment::Key(text.clone()));
            let node = self.node(event, span, depth + 1)?;
            match seen.get(&text) {
                Some(line) => self.report(key.place, &format!("already given in line {line}; keep one")),
                None => {
                    seen.insert(text.clone(), key.place.line);
                    entries.push(Entry { key: text, key_place: key.place, node });
                }
            }
            self.path.0.pop();
        }
    }

    fn tag(&mut self, tag: Option<&Tag>, place: Place) {
        if let Some(tag) = tag.filter(|tag| !is_text(tag)) {
            let tag = tag.to_string().replace("tag:yaml.org,2002:!", "!!");
            self.report(place, &format!("the tag {} has no meaning here; remove it", hint::quote(&tag)));
        }
    }

    /// Counts values against the bounds.
    fn spend(&mut self, nodes: usize, depth: usize, place: Place) -> Result<(), Problem> {
        self.nodes = self.nodes.saturating_add(nodes);
        if self.nodes > MAX_NODES {
            return Err(self.problem(
                place,
                format!("more than {MAX_NODES} values (aliases count as what they repeat); split the file"),
            ));
        }
        if depth > MAX_DEPTH {
            return Err(self.problem(place, format!("nested deeper than {MAX_DEPTH} levels")));
        }
        Ok(())
    }

    fn report(&mut self, place: Place, reason: &str) {
        if self.problems.len() <= MAX_PROBLEMS {
            let problem = self.problem(place, reason);
            self.problems.push(problem);
        }
    }

    fn problem(&self, place: Place, reason: impl Into<String>) -> Problem {
        Problem { place: Some(place), field: self.path.to_string(), reason: reason.into() }
    }

    /// Broken syntax, in the parser's words, with what is usually behind them.
    fn syntax(&self, error: &ScanError) -> Problem {
        let mut place = place(*error.marker());
        let info = error.info();
        // The parser stops before the line that begins with the tab, or within it.
        let near = self.text.lines().enumerate().skip(place.line - 1).take(2);
        let tab = near.filter_map(|(i, line)| {
            let indent = &line[..line.len() - line.trim_start().len()];
            Some((i, indent.chars().position(|c| c == '\t')?))
        });
        let reason = if let Some((i, column)) = tab.into_iter().next() {
            place = Place { line: i + 1, column: column + 1 };
            "a tab in the indentation; YAML is indented with spaces".to_owned()
        } else {
            let hint = SYNTAX_HINTS.iter().find(|(part, _)| info.contains(part));
            format!("broken YAML: {info}{}", hint.map_or("", |(_, hint)| hint))
        };
        Problem { place: Some(place), field: String::new(), reason }
    }
}

/// What is usually behind a message of the parser.
const SYNTAX_HINTS: &[(&str, &str)] = &[
    ("mapping values are not allowed", "; put quotes around a text that has a colon"),
    ("unknown anchor", "; put quotes around a text that begins with '*'"),
    ("quoted scalar", "; a quote is left open"),
    ("illegal placement of ':'", "; a bracket or a brace is left open above"),
    ("while parsing a flow", "; put quotes around a text that has brackets or braces, such as \"[::1]:80\""),
    ("block collection", "; the lines of one block begin in the same column"),
    ("block mapping", "; the lines of one block begin in the same column"),
];

fn is_text(tag: &Tag) -> bool {
    tag.is_yaml_core_schema() && tag.suffix == "str"
}

fn place(marker: Marker) -> Place {
    Place { line: marker.line().max(1), column: marker.col() + 1 }
}
