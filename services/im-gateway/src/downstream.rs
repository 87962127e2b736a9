//! The way down: this gateway's records become frames on its sockets.
//!
//! A batch of records first queues all its frames, then flushes every touched connection once, so
//! that several frames for one connection leave in one system call. Broadcasts go to
//! [`crate::broadcast`], and messages for the members of a group to [`crate::groups`], so that an
//! acknowledgement never waits behind 100,000 sockets.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use gochat_core::audience::{Audience, Roster};
use gochat_core::error::{Error, ErrorCode};
use gochat_core::ids::{ConnId, ConversationKind, UserId};
use gochat_core::signal::Signal;
use gochat_infra::port::mq::{self, Batch, Consumer, MqError, MqErrorKind, MqResult, Progress};
use gochat_infra::rpc::Backoff;
use gochat_infra::telemetry::{Context, Kind, Span};
use gochat_infra::topics;
use gochat_proto::mq::v1::{self, DownstreamKind, DownstreamMessage, Origin};
use prost::Message as _;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::broadcast::Broadcast;
use crate::clock;
use crate::frames;
use crate::groups::Push;
use crate::metrics as names;
use crate::reactions::{self, Held, Outcome};
use crate::recents::About;
use crate::state::Gw;
use crate::told::Numbers;
use crate::ws::conn::{Conn, Sent};

/// A reader of this gateway's topic, and where it will go on.
pub(crate) type Subscription = (Box<dyn Consumer>, Vec<Progress>);

/// Stands at the end of this gateway's topic: what was written before belongs to sockets that are gone.
///
/// # Errors
/// The log can't be reached.
pub(crate) async fn subscribe(gw: &Gw) -> MqResult<Subscription> {
    gw.mq
        .ensure_topics(&[topics::downstream_spec(&gw.id)])
        .await?;
    mq::tail(&*gw.mq, [topics::downstream(&gw.id)]).await
}

/// A new consumer in the place of one that failed, where that one was: its sockets must not miss what was
/// written meanwhile.
async fn resume(gw: &Gw, from: &[Progress], error: &MqError) -> MqResult<Subscription> {
    let (mut consumer, end) = subscribe(gw).await?;
    // A topic that was deleted begins anew.
    if error.kind == MqErrorKind::UnknownTopic {
        return Ok((consumer, end));
    }
    consumer.seek(from)?;
    Ok((consumer, from.to_vec()))
}

/// Delivers until the gateway stops.
pub(crate) async fn run(gw: Gw, subscription: Subscription, stop: CancellationToken) {
    let mut backoff = Backoff::default();
    let (mut consumer, mut positions) = subscription;
    let max = gw.config.backend.downstream_batch;
    loop {
        let polled = tokio::select! {
            () = stop.cancelled() => return,
            polled = consumer.poll(max, Duration::from_secs(1)) => polled,
        };
        match polled {
            Ok(poll) => {
                backoff.reset();
                gw.health.set_log_ok(true);
                for batch in &poll.batches {
                    deliver(&gw, batch).await;
                    note_position(&mut positions, batch);
                }
            }
            Err(error) => {
                gw.health.set_log_ok(false);
                tracing::warn!(%error, "the downstream topic can't be read");
                tokio::time::sleep(backoff.next_delay()).await;
                if !error.is_retryable()
                    && !error.kind.is_final()
                    && let Ok(again) = resume(&gw, &positions, &error).await
                {
                    (consumer, positions) = again;
                }
            }
        }
    }
}

/// Where to go on: one entry per partition of this gateway's topic.
fn note_position(positions: &mut Vec<Progress>, batch: &Batch) {
    let Some(progress) = batch.progress() else {
        return;
    };
    match positions.iter_mut().find(|p| p.tp == progress.tp) {
        Some(known) => known.offset = progress.offset,
        None => positions.push(progress),
    }
}

async fn deliver(gw: &Gw, batch: &Batch) {
    if batch.skipped > 0 {
        names::dropped("lagged", batch.skipped);
        tracing::warn!(
            skipped = batch.skipped,
            "records were dropped before they were delivered"
        );
    }
    names::consumed(batch.records.len());
    let mut round = Round::new(gw);
    for record in &batch.records {
        match DownstreamMessage::decode(record.record.value.clone()) {
            Ok(message) => {
                let context = Context::of(&record.record.headers);
                let span = context.map(|parent| push(gw, parent, &message));
                for held in round.held_before(&message) {
                    let many = round.push(held.message, held.skip, &held.revs);
                    round.publish(many, None).await;
                }
                let many = round.take(message);
                round.publish(many, span).await;
                for held in std::mem::take(&mut round.full) {
                    let many = round.push(held.message, held.skip, &held.revs);
                    round.publish(many, None).await;
                }
            }
            Err(error) => tracing::warn!(%error, "a downstream record can't be decoded"),
        }
    }
    round.finish();
}

/// Tells reactions that were held.
pub(crate) async fn tell(gw: &Gw, held: Vec<Held>) {
    let mut round = Round::new(gw);
    for Held {
        message,
        skip,
        revs,
    } in held
    {
        let many = round.push(message, skip, &revs);
        round.publish(many, None).await;
    }
    round.finish();
}

/// The last span of a traced message: from its record to the sockets.
fn push(gw: &Gw, parent: Context, message: &DownstreamMessage) -> Span {
    let mut span = Span::child(parent, "push", Kind::Consumer);
    let what = match message.kind() {
        DownstreamKind::Message => "message",
        DownstreamKind::Ack => "ack",
        DownstreamKind::Error => "error",
        DownstreamKind::Signal => "signal",
        DownstreamKind::Change => "change",
    };
    span.set("gochat.push", what);
    span.set("gochat.gateway", gw.id.to_string());
    if message.again {
        span.set("gochat.again", 1i64);
    }
    if message.broadcast {
        span.set("gochat.broadcast", 1i64);
    } else if !message.member_ids.is_empty() {
        span.set("gochat.members", message.member_ids.len());
    } else {
        span.set("gochat.targets", message.target_user_ids.len());
    }
    span
}

/// Whether a message is pushed once more because it may have been missed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Late {
    No,
    Again,
    /// Others had it as a broadcast.
    AgainToWorld,
}

/// Queue of pushes that another task writes to connections.
enum ToMany {
    Broadcast(Broadcast),
    Group(Push),
}

/// The frames of one batch, and the connections they wait at.
struct Round<'a> {
    gw: &'a Gw,
    now_s: i64,
    touched: Vec<Arc<Conn>>,
    /// Those of traced messages.
    spans: Vec<Span>,
    delivered: usize,
    missed: usize,
    /// The first message of the round that went to users of this gateway; 0 = none.
    oldest: i64,
    /// Reactions of a window that is full.
    full: Vec<Held>,
}

impl<'a> Round<'a> {
    fn new(gw: &'a Gw) -> Self {
        Self {
            gw,
            now_s: clock::now_s(),
            touched: Vec::new(),
            spans: Vec::new(),
            delivered: 0,
            missed: 0,
            oldest: 0,
            full: Vec::new(),
        }
    }

    /// Queues the frames of one record; what another task writes is handed back.
    fn take(&mut self, mut message: DownstreamMessage) -> Option<ToMany> {
        let origin = message.origin.take();
        if let Some(origin) = &origin {
            self.answer(origin, &message);
        }
        match message.kind() {
            DownstreamKind::Message | DownstreamKind::Change => {}
            DownstreamKind::Signal => return self.signal(message.signal.take()?),
            DownstreamKind::Ack | DownstreamKind::Error => return None,
        }
        self.note_told(&message);
        let skip = origin.as_ref().map_or(0, |o| o.conn_id);
        if reactions::is_reaction(&message) && self.hold(&message, skip) {
            return None;
        }
        let conversation = self.gw.hash_of(&message.conversation_id);
        if message.again && self.gw.reactions.holds(conversation, &message) {
            return None;
        }
        let rev = message.rev;
        self.push(message, skip, &[rev])
    }

    /// Queues a frame that stands for these numbers, for all receivers of its record but one
    /// connection; what another task writes is handed back.
    fn push(&mut self, message: DownstreamMessage, skip: ConnId, revs: &[i64]) -> Option<ToMany> {
        let to_world = message.conversation_type == ConversationKind::World as i32;
        let conversation = self.gw.hash_of(&message.conversation_id);
        let is_change = message.kind() == DownstreamKind::Change;
        self.gw
            .reactions
            .note_told(conversation, revs, Instant::now());
        let rev = message.rev;
        let (id, place) = (identity(&message, conversation, rev), place(&message));
        // One that comes once more may have been told together with others.
        let told = match message.again {
            true => self.gw.reactions.told_as(conversation, rev),
            false => rev,
        };
        let told_id = identity(&message, conversation, told);
        let supersedes = |id| self.gw.broadcasts.supersedes(id, place);
        if message.again && to_world && (supersedes(id) || supersedes(told_id)) {
            return None;
        }
        let Some(frame) = self.frame(&message, revs) else {
            tracing::warn!(
                kind = message.change,
                "a change of an unknown kind can't be shown"
            );
            return None;
        };
        if message.broadcast {
            let before = match to_world && !is_change {
                true => self.gw.broadcasts.note_queued(place),
                false => 0,
            };
            let late_after = if message.again { before } else { 0 };
            let excluded = message
                .exclude_user_ids
                .iter()
                .filter_map(|id| id.parse().ok())
                .collect();
            return Some(ToMany::Broadcast(Broadcast {
                message: id,
                seq: if is_change { 0 } else { place },
                world: to_world && !is_change,
                late_after,
                frame,
                skip,
                excluded,
            }));
        }
        let about = About {
            message: id,
            seq: place,
            conversation,
        };
        if let Some(audience) = self.audience(&message, conversation) {
            return Some(ToMany::Group(Push {
                about,
                again: message.again,
                frame,
                skip,
                audience,
            }));
        }
        if self.oldest == 0 && id > 0 {
            self.oldest = id;
        }
        let late = match (message.again, to_world) {
            (false, _) => Late::No,
            (true, false) => Late::Again,
            (true, true) => Late::AgainToWorld,
        };
        let targets = message.target_user_ids.iter().chain(
            // The single-target form of the same list.
            std::iter::once(&message.target_user_id).filter(|id| !id.is_empty()),
        );
        let gw = self.gw;
        let had = |user| gw.had(user, id) || (told_id != id && gw.had(user, told_id));
        for target in targets {
            match target.parse::<UserId>() {
                Ok(user) if message.again && had(user) => {}
                Ok(user) => self.queue_for_user(user, skip, about, late, &frame),
                Err(_) => self.missed += 1,
            }
        }
        None
    }

    /// Hands what the record made to the task that writes it, if it is not written here.
    async fn publish(&mut self, many: Option<ToMany>, span: Option<Span>) {
        match many {
            // Its span ends when the last socket has it.
            Some(ToMany::Broadcast(broadcast)) => {
                self.gw.broadcasts.publish(broadcast, span).await;
            }
            Some(ToMany::Group(push)) => {
                // Acknowledgements of this round don't wait for room.
                if !self.gw.groups.has_room() {
                    self.flush();
                }
                self.gw.groups.publish(push, span).await;
            }
            None => self.spans.extend(span),
        }
    }

    /// Reactions that have to be told before this record. One that comes once more, late, is before
    /// them anyway.
    fn held_before(&self, message: &DownstreamMessage) -> Vec<Held> {
        let is_told = matches!(
            message.kind(),
            DownstreamKind::Message | DownstreamKind::Change
        );
        if !is_told || message.again || reactions::is_reaction(message) {
            return Vec::new();
        }
        let conversation = self.gw.hash_of(&message.conversation_id);
        self.gw.reactions.before(conversation)
    }

    /// Lets a reaction wait for others, but for the other devices of who made it. False when it is
    /// to be told now.
    fn hold(&mut self, message: &DownstreamMessage, skip: ConnId) -> bool {
        let conversation = self.gw.hash_of(&message.conversation_id);
        let taken = self
            .gw
            .reactions
            .take(conversation, message, skip, Instant::now());
        if let Outcome::Now = taken {
            return false;
        }
        if let (Ok(operator), Some(frame)) = (
            message.sender_id.parse::<UserId>(),
            self.frame(message, &[message.rev]),
        ) && self.gw.table.with_user(operator, |conns| !conns.is_empty())
        {
            let about = About {
                message: identity(message, conversation, message.rev),
                seq: place(message),
                conversation,
            };
            self.queue_for_user(operator, skip, about, Late::No, &frame);
        }
        if let Outcome::Full(held) = taken {
            self.full.extend(held);
        }
        true
    }

    fn frame(&self, message: &DownstreamMessage, revs: &[i64]) -> Option<Bytes> {
        match message.kind() {
            DownstreamKind::Change => frames::message_changed(message, revs, self.now_s),
            _ => Some(frames::new_message(message, self.now_s)),
        }
    }

    /// For whom a message is that has to be written by the task of groups: for the members that the
    /// record lists, or for its targets while earlier messages of the conversation wait there.
    fn audience(&self, message: &DownstreamMessage, conversation: u64) -> Option<Arc<Audience>> {
        let groups = &self.gw.groups;
        if !message.member_ids.is_empty() {
            return Some(groups.members(conversation, &message.member_ids));
        }
        groups
            .holds(conversation)
            .then(|| targets(&message.target_user_ids))
    }

    /// Queues a signal; one that another task writes is handed back.
    fn signal(&mut self, signal: v1::Signal) -> Option<ToMany> {
        let kind = Signal::from_name(&signal.signal_type);
        let encode = |kind| frames::signal(kind, &signal.payload, signal.timestamp).ok();
        let Some(frame) = kind.and_then(encode) else {
            tracing::warn!(signal_type = signal.signal_type, "a signal can't be shown");
            return None;
        };
        if signal.broadcast {
            return Some(ToMany::Broadcast(Broadcast {
                message: 0,
                seq: 0,
                world: false,
                late_after: 0,
                frame,
                skip: 0,
                excluded: Vec::new(),
            }));
        }
        // The signal may be about a message that waits in that queue.
        if !self.gw.groups.is_idle() {
            return Some(ToMany::Group(Push {
                about: About::SIGNAL,
                again: false,
                frame,
                skip: 0,
                audience: targets(&signal.target_user_ids),
            }));
        }
        for target in &signal.target_user_ids {
            match target.parse::<UserId>() {
                Ok(user) => self.queue_for_user(user, 0, About::SIGNAL, Late::No, &frame),
                Err(_) => self.missed += 1,
            }
        }
        None
    }

    /// The author's connection gets its ack or error; an HTTP caller is woken.
    fn answer(&mut self, origin: &Origin, message: &DownstreamMessage) {
        let refusal = (message.kind() == DownstreamKind::Error).then(|| refusal_of(message));
        // Noted first: the author's next read may come before this returns.
        if refusal.is_none()
            && let Ok(author) = origin.user_id.parse()
        {
            let conversation = self.note_told(message);
            self.gw.told.note_author(author, conversation);
        }
        if origin.conn_id == 0 {
            let answer = refusal.map_or_else(|| Ok(message.clone()), Err);
            let trace = if origin.trace_id.is_empty() {
                &message.trace_id
            } else {
                &origin.trace_id
            };
            let id = &message.client_msg_id;
            if !self.gw.waiters.settle(trace, &origin.user_id, id, answer) {
                self.missed += 1;
            }
            return;
        }
        let Ok(user) = origin.user_id.parse::<UserId>() else {
            return;
        };
        let frame = match refusal {
            Some(error) => frames::error(&error, Some(&message.client_msg_id)),
            None if message.change != 0 => frames::change_ack(message, self.now_s),
            None => frames::message_ack(message, self.now_s),
        };
        self.queue_for_conn(user, origin.conn_id, &frame);
    }

    /// Notes that somebody is about to hear of a message; its conversation's hash.
    fn note_told(&self, message: &DownstreamMessage) -> u64 {
        let id = &message.conversation_id;
        let hash = self.gw.hash_of(id);
        let numbers = Numbers {
            seq: message.seq_id,
            rev: message.rev,
            changed: if message.change == 0 { 0 } else { message.rev },
        };
        self.gw.told.note(hash, id, numbers);
        hash
    }

    fn queue_for_conn(&mut self, user: UserId, id: ConnId, frame: &Bytes) {
        let gw = self.gw;
        let found = gw.table.with_user(user, |conns| {
            let conn = conns.iter().find(|c| c.id() == id)?;
            Some((conn.enqueue(frame, gw.queue), conn.clone()))
        });
        match found {
            Some((queued, conn)) => self.note(queued, conn),
            None => self.missed += 1,
        }
    }

    fn queue_for_user(
        &mut self,
        user: UserId,
        skip: ConnId,
        about: About,
        late: Late,
        frame: &Bytes,
    ) {
        let gw = self.gw;
        let spot = about.spot(late != Late::No);
        gw.recents.remember(user, skip, about, frame);
        let (touched, before) = (&mut self.touched, self.delivered);
        let mut overflown = Vec::new();
        let (mut delivered, mut known) = (before, false);
        gw.table.with_user(user, |conns| {
            for conn in conns {
                known = true;
                let is_covered =
                    late == Late::AgainToWorld && gw.broadcasts.covers(about.seq, conn);
                if conn.id() == skip || is_covered {
                    continue;
                }
                let (sent, first) = conn.enqueue_message(frame, gw.queue, spot);
                match sent {
                    Sent::Accepted => {
                        delivered += 1;
                        if first {
                            touched.push(conn.clone());
                        }
                    }
                    Sent::Overflow => overflown.push(conn.clone()),
                    Sent::Closed => {}
                }
            }
        });
        self.delivered = delivered;
        self.missed += usize::from(!known);
        for conn in overflown {
            gw.note_overflow(&conn);
        }
    }

    fn note(&mut self, (sent, first): (Sent, bool), conn: Arc<Conn>) {
        match sent {
            Sent::Accepted => {
                self.delivered += 1;
                if first {
                    self.touched.push(conn);
                }
            }
            Sent::Overflow => self.gw.note_overflow(&conn),
            Sent::Closed => self.missed += 1,
        }
    }

    /// Writes what waits at the connections.
    fn flush(&mut self) {
        for conn in self.touched.drain(..) {
            conn.flush();
        }
    }

    fn finish(mut self) {
        self.flush();
        self.spans.into_iter().for_each(Span::end);
        names::add(names::DELIVERED, self.delivered);
        if self.oldest != 0 {
            names::fanned_out(names::FANOUT, self.oldest);
        }
        // Offline in the meantime: history has it.
        names::dropped("offline", self.missed as u64);
    }
}

/// What tells a push from others: the id of a message, and for a change a number below 0 that is
/// made of its conversation and its `rev`.
fn identity(message: &DownstreamMessage, conversation: u64, rev: i64) -> i64 {
    if message.kind() != DownstreamKind::Change {
        return message.message_id;
    }
    let rev = rev.unsigned_abs();
    let mixed = conversation ^ rev.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    i64::MIN | mixed as i64
}

/// Place in the order of messages. A change has none: it goes out however late it comes, because
/// clients tell by its `rev` whether they know better, and some of them don't know `rev` and would
/// never miss it.
fn place(message: &DownstreamMessage) -> i64 {
    match message.kind() {
        DownstreamKind::Change => i64::MAX,
        _ => message.seq_id,
    }
}

/// The users whom the owner of the conversation addressed, as an audience.
fn targets(ids: &[String]) -> Arc<Audience> {
    let users = ids.iter().filter_map(|id| id.parse().ok());
    Arc::new(Roster::loaded(users).everyone())
}

/// The refusal inside an error record.
fn refusal_of(message: &DownstreamMessage) -> Error {
    let Some(error) = &message.error else {
        return ErrorCode::Internal.into();
    };
    let code = ErrorCode::from_code(&error.code).unwrap_or(ErrorCode::Internal);
    let refusal = if error.message.is_empty() {
        Error::from(code)
    } else {
        Error::new(code, error.message.clone())
    };
    refusal.after(u64::from(error.retry_after_ms))
}
