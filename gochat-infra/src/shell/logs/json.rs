//! One JSON object a line, with the field names of the contract.

use std::fmt;

use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::{FormatEvent, JsonFields, Writer};
use tracing_subscriber::fmt::time::{ChronoUtc, FormatTime as _};
use tracing_subscriber::fmt::{FmtContext, FormattedFields};
use tracing_subscriber::registry::LookupSpan;

/// Fields that tie lines of several services together; they stand in every line once a span or the event has them.
const TRACE_FIELDS: [&str; 2] = ["trace_id", "span_id"];

/// Fields that every line has.
const FIXED: [&str; 5] = ["time", "level", "service", "namespace", "msg"];

/// Formats events as `{"time", "level", "service", "namespace", "msg", "trace_id", "span_id", …}`.
pub(super) struct JsonLines {
    service: &'static str,
    source: bool,
    timer: ChronoUtc,
}

impl JsonLines {
    pub(super) fn new(service: &'static str, source: bool) -> Self {
        Self {
            service,
            source,
            timer: ChronoUtc::new("%Y-%m-%dT%H:%M:%S%.3f%:z".to_owned()),
        }
    }
}

impl<S> FormatEvent<S, JsonFields> for JsonLines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn format_event(
        &self,
        ctx: &FmtContext<'_, S, JsonFields>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let meta = event.metadata();
        let mut time = String::with_capacity(32);
        self.timer.format_time(&mut Writer::new(&mut time))?;
        let mut line = Map::new();
        let mut put = |key: &str, value: String| line.insert(key.to_owned(), Value::String(value));
        put("time", time);
        put("level", level_name(meta.level()).to_owned());
        put("service", self.service.to_owned());
        put("namespace", namespace(meta.target()));
        let mut fields = Fields(Map::new());
        event.record(&mut fields);
        let Fields(mut fields) = fields;
        let msg = fields.remove("message");
        line.insert("msg".to_owned(), msg.unwrap_or_default());
        for name in TRACE_FIELDS {
            line.insert(name.to_owned(), Value::String(String::new()));
        }
        // From the outermost span inwards, the event last: the nearest value of a name stands.
        for span in ctx.event_scope().into_iter().flat_map(|s| s.from_root()) {
            let extensions = span.extensions();
            let recorded = extensions.get::<FormattedFields<JsonFields>>();
            let parsed = recorded.and_then(|f| serde_json::from_str(&f.fields).ok());
            if let Some(Value::Object(of_span)) = parsed {
                add(&mut line, of_span);
            }
        }
        add(&mut line, fields);
        if self.source
            && let (Some(file), Some(number)) = (meta.file(), meta.line())
        {
            line.insert(
                "caller".to_owned(),
                Value::String(format!("{file}:{number}")),
            );
        }
        writeln!(writer, "{}", Value::Object(line))
    }
}

/// Adds fields; one that has the name of a fixed field moves aside, so that `service` is always who logs.
fn add(line: &mut Map<String, Value>, fields: Map<String, Value>) {
    for (name, value) in fields {
        let name = match FIXED.contains(&name.as_str()) {
            true => format!("event_{name}"),
            false => name,
        };
        line.insert(name, value);
    }
}

/// `im_gateway::ws::conn` is `im-gateway.ws.conn`: the root of a namespace is the service.
fn namespace(target: &str) -> String {
    match target.split_once("::") {
        Some((root, rest)) => format!("{}.{}", root.replace('_', "-"), rest.replace("::", ".")),
        None => target.replace('_', "-"),
    }
}

fn level_name(level: &Level) -> &'static str {
    match *level {
        Level::ERROR => "error",
        Level::WARN => "warn",
        Level::INFO => "info",
        Level::DEBUG => "debug",
        Level::TRACE => "trace",
    }
}

/// Collects the fields of an event.
struct Fields(Map<String, Value>);

impl Fields {
    fn put(&mut self, field: &Field, value: impl Into<Value>) {
        // `r#type` and the like are names of Rust, not of the reader.
        let name = field.name().trim_start_matches("r#");
        self.0.insert(name.to_owned(), value.into());
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value);
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.put(field, value.to_string());
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::Arc;

    use parking_lot::Mutex;
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;

    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn lines_of(log: impl FnOnce()) -> Vec<Value> {
        let sink = Sink::default();
        let writer = sink.clone();
        let layer = tracing_subscriber::fmt::layer()
            .with_writer(move || writer.clone())
            .with_ansi(false)
            .fmt_fields(JsonFields::new())
            .event_format(JsonLines::new("im-logic", false));
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), log);
        let bytes = sink.0.lock().clone();
        let text = String::from_utf8(bytes).unwrap();
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    #[test]
    fn a_line_has_the_fields_of_the_contract_and_the_trace_of_its_span() {
        let lines = lines_of(|| {
            let _span = tracing::info_span!("rpc", trace_id = "t-1", rpc = "SendMessage").entered();
            tracing::warn!(target: "im_logic::pipeline::worker", took_ms = 7, "held back");
        });
        let line = &lines[0];
        assert_eq!(line["level"], "warn");
        assert_eq!(line["service"], "im-logic");
        assert_eq!(line["namespace"], "im-logic.pipeline.worker");
        assert_eq!(line["msg"], "held back");
        assert_eq!(line["trace_id"], "t-1");
        assert_eq!(line["span_id"], "");
        assert_eq!(line["took_ms"], 7);
        assert_eq!(line["rpc"], "SendMessage");
        let time = line["time"].as_str().unwrap();
        assert!(time.len() == 29 && time.ends_with("+00:00"), "{time}");
    }

    #[test]
    fn a_field_never_hides_who_logs() {
        let lines = lines_of(|| tracing::info!(service = "im-repo", level = 3, "connected"));
        assert_eq!(lines[0]["service"], "im-logic");
        assert_eq!(lines[0]["event_service"], "im-repo");
        assert_eq!(lines[0]["level"], "info");
    }

    #[test]
    fn the_event_knows_its_trace_better_than_the_span() {
        let lines = lines_of(|| {
            let _span = tracing::info_span!("batch", trace_id = "outer").entered();
            tracing::info!(trace_id = "inner", "one record");
            tracing::info!("no trace of its own");
        });
        assert_eq!(lines[0]["trace_id"], "inner");
        assert_eq!(lines[1]["trace_id"], "outer");
    }
}
