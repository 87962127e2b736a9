//! One step of a traced message or call.

use std::borrow::Cow;
use std::time::SystemTime;

use super::context::Context;
use super::{SINK, number};

/// Which side of an exchange a span is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Work within a process.
    Internal,
    /// Answers a call.
    Server,
    /// Makes a call.
    Client,
    /// Writes records others work on.
    Producer,
    /// Works on a record.
    Consumer,
}

/// The value of an attribute. Never a message, a token or a password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// Text.
    Text(Cow<'static, str>),
    /// A number.
    Number(i64),
}

impl From<&'static str> for Value {
    fn from(text: &'static str) -> Self {
        Self::Text(text.into())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text.into())
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Number(number)
    }
}

impl From<usize> for Value {
    fn from(number: usize) -> Self {
        Self::Number(i64::try_from(number).unwrap_or(i64::MAX))
    }
}

/// A span that has ended.
#[derive(Debug, Clone)]
pub struct Finished {
    /// Its place.
    pub context: Context,
    /// The span it belongs to; 0 = it is the first of its trace.
    pub parent: u64,
    /// What was done.
    pub name: Cow<'static, str>,
    /// Which side it is.
    pub kind: Kind,
    /// When it began.
    pub start: SystemTime,
    /// When it ended.
    pub end: SystemTime,
    /// More about it.
    pub attributes: Vec<(&'static str, Value)>,
    /// Why it failed.
    pub error: Option<Cow<'static, str>>,
}

/// A span under way. Dropped without [`end`](Self::end) it counts as one that was broken off: that is what `?` and a
/// cancelled future leave behind.
#[derive(Debug)]
#[must_use = "a span that is dropped is one that was broken off"]
pub struct Span {
    context: Context,
    /// `None` when nobody takes spans: then it only passes its parent on.
    record: Option<Box<Finished>>,
}

impl Span {
    /// Begins a step under another one.
    pub fn child(parent: Context, name: impl Into<Cow<'static, str>>, kind: Kind) -> Self {
        if SINK.get().is_none() {
            let context = parent;
            return Self {
                context,
                record: None,
            };
        }
        Self::begin(parent.trace, parent.span, name.into(), kind)
    }

    pub(super) fn root(trace: u128, name: &'static str, kind: Kind) -> Self {
        Self::begin(trace, 0, Cow::Borrowed(name), kind)
    }

    fn begin(trace: u128, parent: u64, name: Cow<'static, str>, kind: Kind) -> Self {
        let span = number::id();
        let context = Context { trace, span };
        let start = SystemTime::now();
        let record = Finished {
            context,
            parent,
            name,
            kind,
            start,
            end: start,
            attributes: Vec::new(),
            error: None,
        };
        Self {
            context,
            record: Some(Box::new(record)),
        }
    }

    /// What steps below it refer to.
    pub fn context(&self) -> Context {
        self.context
    }

    /// Says more about it.
    pub fn set(&mut self, name: &'static str, value: impl Into<Value>) {
        if let Some(record) = &mut self.record {
            record.attributes.push((name, value.into()));
        }
    }

    /// Gives it a better name, made only when there is a span.
    pub fn rename(&mut self, name: String) {
        if let Some(record) = &mut self.record {
            record.name = Cow::Owned(name);
        }
    }

    /// Moves its start back to when the work it is about began.
    pub fn began(&mut self, at: SystemTime) {
        if let Some(record) = &mut self.record {
            record.start = at;
        }
    }

    /// It is done.
    pub fn end(mut self) {
        self.finish(None);
    }

    /// It is done, and did not work.
    pub fn fail(mut self, why: impl Into<Cow<'static, str>>) {
        self.finish(Some(why.into()));
    }

    fn finish(&mut self, error: Option<Cow<'static, str>>) {
        let Some(mut record) = self.record.take() else {
            return;
        };
        // A clock that was set back must not make it end before it began.
        record.end = SystemTime::now().max(record.start);
        record.error = error;
        if let Some(sink) = SINK.get() {
            sink.take(*record);
        }
    }
}

impl Drop for Span {
    fn drop(&mut self) {
        self.finish(Some(Cow::Borrowed("broken off")));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_sink_the_parent_is_passed_on() {
        let text = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let parent = Context::parse(text).unwrap();
        let mut span = Span::child(parent, "step", Kind::Consumer);
        span.set("n", 1i64);
        assert_eq!(span.context(), parent);
        span.end();
    }
}
