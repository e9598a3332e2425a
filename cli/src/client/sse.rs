//! Reading server-sent events (HTML standard, section 9.2): bytes in, events out.

/// The longest event that is read, in bytes, as of any answer.
const MAX_EVENT: usize = super::MAX_ANSWER;

/// One event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SseEvent {
    /// Its name.
    pub name: String,
    /// Its id, or the one of the last event that had one.
    pub id: String,
    /// Its data.
    pub data: String,
}

/// Takes bytes as they come, cut anywhere.
#[derive(Debug, Default)]
pub(super) struct Parser {
    line: Vec<u8>,
    event: SseEvent,
    has_data: bool,
}

impl Parser {
    /// The events that end with these bytes.
    ///
    /// # Errors
    /// If one is too long.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Result<Vec<SseEvent>, String> {
        let mut events = Vec::new();
        let mut rest = bytes;
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            self.line.extend_from_slice(&rest[..end]);
            rest = &rest[end + 1..];
            let line = std::mem::take(&mut self.line);
            events.extend(self.end_of_line(line.strip_suffix(b"\r").unwrap_or(&line)));
        }
        self.line.extend_from_slice(rest);
        if self.line.len() + self.event.data.len() > MAX_EVENT {
            return Err(format!("an event has more than {MAX_EVENT} bytes"));
        }
        Ok(events)
    }

    fn end_of_line(&mut self, line: &[u8]) -> Option<SseEvent> {
        let line = String::from_utf8_lossy(line);
        if line.is_empty() {
            let event = SseEvent { id: self.event.id.clone(), ..std::mem::take(&mut self.event) };
            self.event.id.clone_from(&event.id);
            return std::mem::take(&mut self.has_data).then_some(event);
        }
        let (field, value) = line.split_once(':').unwrap_or((&line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut self.event.name),
            "id" => value.clone_into(&mut self.event.id),
            "data" => {
                if std::mem::replace(&mut self.has_data, true) {
                    self.event.data.push('\n');
                }
                self.event.data.push_str(value);
            }
            // A comment, or what we have no use for.
            _ => {}
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const STREAM: &str = ": hello\n\nevent: phase\r\nid: a-1\r\ndata: {\"x\":\r\ndata: 1}\r\n\r\nretry: 5\n\n\
                          event:gone\ndata\n\ndata: é\nid: a-2\n\nevent: half\ndata: never ended\n";

    fn event(name: &str, id: &str, data: &str) -> SseEvent {
        SseEvent { name: name.into(), id: id.into(), data: data.into() }
    }

    proptest! {
        #[test]
        fn events_are_the_same_however_the_bytes_are_cut(cuts in prop::collection::vec(0..STREAM.len(), 0..8)) {
            let mut cuts = cuts;
            cuts.extend([0, STREAM.len()]);
            cuts.sort_unstable();
            let mut parser = Parser::default();
            let mut events = Vec::new();
            for pair in cuts.windows(2) {
                events.extend(parser.push(&STREAM.as_bytes()[pair[0]..pair[1]]).unwrap());
            }
            prop_assert_eq!(events, [event("phase", "a-1", "{\"x\":\n1}"), event("gone", "a-1", ""), event("", "a-2", "é")]);
        }

        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Parser::default().push(&bytes);
        }
    }
}
