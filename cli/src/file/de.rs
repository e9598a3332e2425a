//! Deserializing from the tree, with errors that know their field, and with the words of people.
//!
//! The type decides how a scalar is read, as nobody quotes `8080` or `true` in a command or an environment: a
//! plain scalar is a text where a text belongs. A known field with nothing behind it (`idle:` above lines that
//! are commented out) counts as left out, and one that is not known is refused, whatever the type itself makes of it.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{self, DeserializeSeed, Expected, IntoDeserializer, Unexpected, Visitor},
    forward_to_deserialize_any,
};

use super::{
    hint,
    path::Segment,
    problem::Place,
    tree::{Content, Entry, Item, Node},
};

/// Why a value could not be read, and which.
#[derive(Debug)]
pub(super) struct Failure {
    /// From the value to the root.
    pub(super) steps: Vec<Segment>,
    /// Where the message points.
    pub(super) place: Option<Place>,
    pub(super) kind: Kind,
}

/// What is wrong.
#[derive(Debug)]
pub(super) enum Kind {
    /// No such field; the path's last step names it.
    UnknownField { known: &'static [&'static str] },
    /// A field of the value is missing.
    Missing { field: &'static str },
    /// Something else stands where a list belongs.
    NoList { found: String },
    /// The value itself is wrong.
    Wrong(String),
}

impl Failure {
    fn new(kind: Kind) -> Self {
        Self { steps: Vec::new(), place: None, kind }
    }

    fn within(mut self, step: Segment, place: Place) -> Self {
        self.steps.push(step);
        self.place.get_or_insert(place);
        self
    }
}

/// Reads a value.
pub(super) fn read<'de, T: Deserialize<'de>>(node: &'de Node) -> Result<T, Failure> {
    T::deserialize(node).map_err(|failure| Failure { place: failure.place.or(Some(node.place)), ..failure })
}

/// A scalar by YAML's core schema.
enum Scalar<'a> {
    Null,
    Bool(bool),
    Unsigned(u64),
    Signed(i64),
    Float(f64),
    Text(&'a str),
}

fn resolve(text: &str) -> Scalar<'_> {
    let digits = |digits: &str, radix| u64::from_str_radix(digits, radix).ok().map(Scalar::Unsigned);
    let number = if let Some(octal) = text.strip_prefix("0o") {
        digits(octal, 8)
    } else if let Some(hex) = text.strip_prefix("0x") {
        digits(hex, 16)
    } else {
        let looks_like_one = text.bytes().any(|b| b.is_ascii_digit())
            && text.bytes().all(|b| b.is_ascii_digit() || b"+-.eE".contains(&b));
        looks_like_one
            .then(|| {
                let unsigned = text.parse().map(Scalar::Unsigned);
                let signed = unsigned.or_else(|_| text.parse().map(Scalar::Signed));
                signed.ok().or_else(|| text.parse().map(Scalar::Float).ok())
            })
            .flatten()
    };
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Scalar::Null,
        "true" | "True" | "TRUE" => Scalar::Bool(true),
        "false" | "False" | "FALSE" => Scalar::Bool(false),
        text => number.unwrap_or(Scalar::Text(text)),
    }
}

impl Node {
    fn unexpected(&self) -> Unexpected<'_> {
        match &self.content {
            Content::List(_) => Unexpected::Seq,
            Content::Map(_) => Unexpected::Map,
            Content::Scalar { .. } if self.is_null() => Unexpected::Unit,
            Content::Scalar { text, .. } => Unexpected::Str(text),
        }
    }
}

impl<'de> Deserializer<'de> for &'de Node {
    type Error = Failure;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        match &self.content {
            Content::List(items) => visitor.visit_seq(Items(items.iter())),
            Content::Map(entries) => visitor.visit_map(Entries::new(entries, &[])),
            Content::Scalar { text, plain: false } => visitor.visit_borrowed_str(text),
            Content::Scalar { text, plain: true } => match resolve(text) {
                Scalar::Null => visitor.visit_unit(),
                Scalar::Bool(value) => visitor.visit_bool(value),
                Scalar::Unsigned(value) => visitor.visit_u64(value),
                Scalar::Signed(value) => visitor.visit_i64(value),
                Scalar::Float(value) => visitor.visit_f64(value),
                Scalar::Text(text) => visitor.visit_borrowed_str(text),
            },
        }
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        match &self.content {
            Content::Scalar { text, .. } if !self.is_null() => visitor.visit_borrowed_str(text),
            _ => Err(de::Error::invalid_type(self.unexpected(), &visitor)),
        }
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        if self.is_null() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Failure> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Failure> {
        match &self.content {
            Content::Map(entries) => visitor.visit_map(Entries::new(entries, fields)),
            _ => Err(de::Error::invalid_type(self.unexpected(), &visitor)),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Failure> {
        match &self.content {
            Content::Scalar { text, .. } if !self.is_null() => {
                visitor.visit_enum(text.as_str().into_deserializer())
            }
            _ => {
                let expected = format!("one of {}", variants.join(", "));
                Err(de::Error::invalid_type(self.unexpected(), &expected.as_str()))
            }
        }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char bytes byte_buf unit unit_struct seq tuple
        tuple_struct map identifier ignored_any
    }
}

struct Items<'de>(std::slice::Iter<'de, Item>);

impl<'de> de::SeqAccess<'de> for Items<'de> {
    type Error = Failure;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Failure> {
        let Some(item) = self.0.next() else { return Ok(None) };
        let value = seed.deserialize(&item.node);
        value.map(Some).map_err(|failure| failure.within(Segment::Index(item.index), item.node.place))
    }
}

struct Entries<'de> {
    entries: std::slice::Iter<'de, Entry>,
    /// The fields that there are. Empty: any key may be given.
    fields: &'static [&'static str],
    current: Option<&'de Entry>,
}

impl<'de> Entries<'de> {
    fn new(entries: &'de [Entry], fields: &'static [&'static str]) -> Self {
        Self { entries: entries.iter(), fields, current: None }
    }
}

impl<'de> de::MapAccess<'de> for Entries<'de> {
    type Error = Failure;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Failure> {
        let fields = self.fields;
        let left_out = |entry: &&Entry| entry.node.is_null() && fields.contains(&entry.key.as_str());
        self.current = self.entries.by_ref().find(|entry| !left_out(entry));
        let Some(entry) = self.current else { return Ok(None) };
        if !fields.is_empty() && !fields.contains(&entry.key.as_str()) {
            let unknown = Failure::new(Kind::UnknownField { known: fields });
            return Err(unknown.within(Segment::Key(entry.key.clone()), entry.key_place));
        }
        let key = seed.deserialize(entry.key.as_str().into_deserializer());
        key.map(Some)
            .map_err(|failure: Failure| failure.within(Segment::Key(entry.key.clone()), entry.key_place))
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Failure> {
        let entry = self.current.take().expect("serde asks for a value only after its key");
        let value = seed.deserialize(&entry.node);
        value.map_err(|failure| failure.within(Segment::Key(entry.key.clone()), entry.place()))
    }
}

impl Entry {
    /// Where a message about the value points: to a scalar itself, but to the key of a block.
    pub(super) fn place(&self) -> Place {
        match self.node.content {
            Content::Scalar { .. } if !self.node.is_null() => self.node.place,
            _ => self.key_place,
        }
    }
}

impl de::Error for Failure {
    fn custom<T: fmt::Display>(message: T) -> Self {
        let message = message.to_string();
        let message = match message.contains("untagged enum PortRef") {
            true => "write the name of one of the app's ports, or its number (1 to 65535)".to_owned(),
            false => message,
        };
        Self::new(Kind::Wrong(message))
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::new(match expected.to_string().as_str() {
            "a sequence" => Kind::NoList { found: hint::found(&found) },
            _ => Kind::Wrong(hint::mismatch(&found, expected)),
        })
    }

    fn invalid_value(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::invalid_type(found, expected)
    }

    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Self {
        let instead = hint::instead(variant, expected, "allowed");
        Self::new(Kind::Wrong(format!("unknown value {}; {instead}", hint::quote(variant))))
    }

    fn missing_field(field: &'static str) -> Self {
        Self::new(Kind::Missing { field })
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            Kind::UnknownField { .. } => f.write_str("unknown field"),
            Kind::Missing { field } => write!(f, "{field} is missing"),
            Kind::NoList { found } => write!(f, "found {found}, expected a list"),
            Kind::Wrong(reason) => f.write_str(reason),
        }
    }
}

impl std::error::Error for Failure {}
