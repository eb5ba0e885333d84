//! The form of a log line, as text or JSON. Whatever is in its fields, a line is one line, of at most
//! [`MAX_LINE`] bytes.

use std::fmt::{self, Debug};

use serde::{Serialize, Serializer};
use serde_json::Value;
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use crate::escape::escaped;

/// Maximum bytes of a line, with its end.
#[cfg(test)]
const MAX_LINE: usize = 4096;
/// Maximum bytes of a value, escaped.
const MAX_VALUE: usize = 1024;
/// Maximum bytes of all values.
const MAX_VALUES: usize = 3072;
/// Fields beyond this number are left out. No line has as many.
const MAX_FIELDS: usize = 16;

/// The field that is the message.
const MESSAGE: &str = "message";

/// The fields of a line, escaped and cut.
#[derive(Debug)]
struct Fields {
    /// Texts are put in quotation marks, unless they were to be shown as they are.
    quoted: bool,
    values: Vec<(&'static str, Value)>,
    left: usize,
}

impl Fields {
    const fn new(quoted: bool) -> Self {
        Self {
            quoted,
            values: Vec::new(),
            left: MAX_VALUES,
        }
    }

    fn put(&mut self, field: &Field, value: Value) {
        if self.values.len() < MAX_FIELDS {
            self.values.push((field.name(), value));
        }
    }

    fn put_text(&mut self, field: &Field, text: fmt::Arguments<'_>) {
        let text = escaped(text, self.left.min(MAX_VALUE));
        self.left = self.left.saturating_sub(text.len());
        self.put(field, text.into());
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.put_text(field, format_args!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if self.quoted && field.name() != MESSAGE {
            self.put_text(field, format_args!("{value:?}"));
        } else {
            self.put_text(field, format_args!("{value}"));
        }
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value.into());
    }
}

/// Fields as text: the message, then `name=value`.
#[derive(Debug)]
pub(super) struct TextFields;

impl<'writer> FormatFields<'writer> for TextFields {
    fn format_fields<R: RecordFields>(&self, mut to: Writer<'writer>, from: R) -> fmt::Result {
        let mut fields = Fields::new(true);
        from.record(&mut fields);
        let is_message = |name: &str| name == MESSAGE;
        fields.values.sort_by_key(|(name, _)| !is_message(name));
        for (position, (name, value)) in fields.values.iter().enumerate() {
            if position > 0 {
                to.write_char(' ')?;
            }
            if !is_message(name) {
                write!(to, "{name}=")?;
            }
            match value {
                Value::String(text) => to.write_str(text)?,
                other => write!(to, "{other}")?,
            }
        }
        Ok(())
    }
}

/// Lines as JSON objects: time, level, the fields, and the place in the code.
#[derive(Debug)]
pub(super) struct JsonLines;

impl<S, N> FormatEvent<S, N> for JsonLines
where
    S: Subscriber + for<'span> LookupSpan<'span>,
    N: for<'writer> FormatFields<'writer> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut to: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut time = String::new();
        SystemTime.format_time(&mut Writer::new(&mut time))?;
        let meta = event.metadata();
        let mut fields = Fields::new(false);
        event.record(&mut fields);
        let mut line = vec![
            ("timestamp", time.into()),
            ("level", meta.level().as_str().into()),
        ];
        line.extend(fields.values);
        line.push(("target", meta.target().into()));
        let text = serde_json::to_string(&InOrder(line)).map_err(|_| fmt::Error)?;
        writeln!(to, "{text}")
    }
}

/// A JSON object whose members keep their order.
struct InOrder(Vec<(&'static str, Value)>);

impl Serialize for InOrder {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(members) = self;
        serializer.collect_map(members.iter().map(|(name, value)| (name, value)))
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl Log {
        fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    impl io::Write for Log {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// The log of `say` as text and as JSON.
    fn both(say: impl Fn()) -> [String; 2] {
        [false, true].map(|json| {
            let log = Log::default();
            let writer = log.clone();
            let lines = tracing_subscriber::fmt().with_writer(move || writer.clone());
            let lines = lines.with_ansi(false);
            if json {
                let lines = lines.event_format(JsonLines).finish();
                tracing::subscriber::with_default(lines, &say);
            } else {
                let lines = lines.fmt_fields(TextFields).finish();
                tracing::subscriber::with_default(lines, &say);
            }
            log.text()
        })
    }

    #[test]
    fn a_line_has_its_fields_in_either_form() {
        let [text, json] = both(|| {
            let error = "no \"room\"";
            tracing::info!(function = "nic", count = 3, %error, up = true, "told {}", 7);
        });
        let expected = r#"told 7 function="nic" count=3 error=no "room" up=true"#;
        assert!(text.ends_with(&format!("{expected}\n")), "{text}");
        let line: Value = serde_json::from_str(&json).unwrap();
        assert_eq!(line["message"], "told 7");
        assert_eq!(line["function"], "nic");
        assert_eq!(line["count"], 3);
        assert_eq!(line["error"], "no \"room\"");
        assert_eq!(line["level"], "INFO");
        assert_eq!(line["target"], module_path!());
        assert!(line["timestamp"].as_str().unwrap().ends_with('Z'));
    }

    #[test]
    fn whatever_is_in_its_fields_a_line_is_one_line_and_short() {
        let hostile =
            "x\n2026-01-01T00:00:00Z  INFO forged\r\u{1b}[2J\u{9b}2J\u{85}\u{2028}\u{202e}\"\\";
        for repeated in [1, 100_000] {
            let value = hostile.repeat(repeated);
            let lines = both(|| {
                let error = &value;
                tracing::warn!(%error, quoted = value.as_str(), debug = ?error, "{error}");
            });
            for line in lines {
                let acts = |c: char| c.is_control() || "\u{2028}\u{202e}".contains(c);
                let (body, end) = line.split_at(line.len() - 1);
                assert_eq!((body.find(acts), end), (None, "\n"), "{body}");
                assert!(line.len() <= MAX_LINE, "{} bytes", line.len());
            }
        }
    }
}
