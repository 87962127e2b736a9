//! The spans of a batch: one per sampled message, from the poll that brought it to the commit of its step.

use std::time::SystemTime;

use gochat_core::ids::ConversationKind;
use gochat_core::step::Sequenced;
use gochat_infra::port::mq::{Batch, Headers};
use gochat_infra::telemetry::{Context, Kind, Span};

/// Spans by the place of their record, ascending. Holds no memory for a batch without a sampled message. Dropped before
/// the commit, they tell of a step that failed.
#[derive(Debug, Default)]
pub(super) struct Spans(Vec<(usize, Span)>);

impl Spans {
    pub(super) fn begin(batch: &Batch, at: SystemTime) -> Self {
        let sampled = |(place, record): (usize, &gochat_infra::port::mq::InRecord)| {
            let parent = Context::of(&record.record.headers)?;
            let mut span = Span::child(parent, "sequence", Kind::Consumer);
            span.began(at);
            span.set("gochat.batch", batch.records.len());
            span.set("gochat.partition", i64::from(batch.tp.partition));
            Some((place, span))
        };
        Self(
            batch
                .records
                .iter()
                .enumerate()
                .filter_map(sampled)
                .collect(),
        )
    }

    /// What calls for the whole batch are shown under.
    pub(super) fn first(&self) -> Option<Context> {
        self.0.first().map(|(_, span)| span.context())
    }

    /// The headers of records made of the one at this place.
    pub(super) fn headers(&self, place: usize) -> Headers {
        if self.0.is_empty() {
            return Headers::none();
        }
        match self.0.binary_search_by_key(&place, |(place, _)| *place) {
            Ok(found) => self.0[found].1.context().on(Headers::none()),
            Err(_) => Headers::none(),
        }
    }

    /// Notes what a message was given.
    pub(super) fn sequenced(&mut self, kind: ConversationKind, message: &Sequenced) {
        if self.0.is_empty() {
            return;
        }
        let at = |(place, _): &&mut (usize, Span)| *place == message.record;
        let Some((_, span)) = self.0.iter_mut().find(at) else {
            return;
        };
        let kind = match kind {
            ConversationKind::Single => "single",
            ConversationKind::Group => "group",
            ConversationKind::World => "world",
        };
        span.set("gochat.conversation.kind", kind);
        span.set("gochat.seq", i64::try_from(message.seq).unwrap_or(i64::MAX));
        span.set("gochat.message_id", message.message_id.get().to_string());
    }

    /// The step stands.
    pub(super) fn end(self) {
        self.0.into_iter().for_each(|(_, span)| span.end());
    }
}
