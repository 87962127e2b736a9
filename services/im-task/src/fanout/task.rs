//! One fan-out task on its way through the pages.

use std::ops::Deref;

use bytes::Bytes;
use gochat_core::ids::ConversationId;
use gochat_infra::telemetry::Context;
use gochat_proto::mq::v1::{DownstreamMessage, FanoutTask};
use hashbrown::HashMap;
use prost::Message;

use super::page::PageKey;

/// How far a conversation is in the database.
#[derive(Debug, Clone, Copy)]
pub(super) struct Head {
    /// Number of the newest message.
    pub(super) seq: i64,
    /// Number of the newest message or change of one; 0 from an im-repo that doesn't tell.
    pub(super) rev: i64,
}

/// A task and what is known about its row.
#[derive(Debug, Clone)]
pub(super) struct Task {
    task: FanoutTask,
    row: Row,
    /// What its span is below; the tasks that follow it are below the same.
    pub(super) parent: Option<Context>,
    /// Its span, when it is traced.
    pub(super) place: Option<Context>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Row {
    /// Not seen yet.
    Late,
    /// In the database, or of no matter: later pages were decided with the first, and who registers
    /// while members are paged is served by the persist record.
    There,
    /// The conversation does not exist any more.
    NoConversation,
}

impl Task {
    /// Decodes and checks a record.
    pub(super) fn decode(value: Bytes) -> Result<Self, String> {
        let task = FanoutTask::decode(value).map_err(|e| format!("can't be decoded: {e}"))?;
        if task.message.is_none() {
            return Err("carries no message".to_owned());
        }
        if !matches!(task.conversation_id.parse(), Ok(ConversationId::Group(_))) {
            return Err("is not for a group".to_owned());
        }
        let row = if task.after_user_id.is_empty() && !task.at_once {
            Row::Late
        } else {
            Row::There
        };
        Ok(Self {
            task,
            row,
            parent: None,
            place: None,
        })
    }

    /// Notes where it is in a trace.
    pub(super) fn traced(self, parent: Option<Context>, place: Option<Context>) -> Self {
        Self {
            parent,
            place,
            ..self
        }
    }

    /// Whether it is worth looking for the row.
    pub(super) fn needs_row(&self) -> bool {
        self.row == Row::Late
    }

    /// Takes in how far conversations are in the database.
    pub(super) fn learn(&mut self, heads: &HashMap<String, Head>) {
        if self.row == Row::Late {
            self.row = match heads.get(&self.conversation_id) {
                None => Row::NoConversation,
                Some(head) if self.is_stored(*head) => Row::There,
                Some(_) => Row::Late,
            };
        }
    }

    /// Whether the row is written: of a message by its number, of a change, whose message is there
    /// anyway, by its own.
    fn is_stored(&self, head: Head) -> bool {
        match self.message.as_ref().map_or(0, |message| message.rev) {
            rev if rev > 0 && head.rev > 0 => head.rev >= rev,
            _ => head.seq >= self.seq_id,
        }
    }

    /// Whether members can be paged now.
    pub(super) fn is_due(&self) -> bool {
        self.row == Row::There || self.is_early()
    }

    /// Whether it goes out before its row.
    pub(super) fn is_early(&self) -> bool {
        self.row == Row::Late && !self.again
    }

    pub(super) fn is_gone(&self) -> bool {
        self.row == Row::NoConversation
    }

    /// The same once more from the start, when the row is there.
    pub(super) fn repeat(&self) -> Self {
        let task = FanoutTask {
            again: true,
            after_user_id: String::new(),
            ..self.task.clone()
        };
        Self {
            task,
            row: Row::Late,
            ..*self
        }
    }

    /// The page after this member.
    pub(super) fn next(&self, after_user_id: &str) -> Self {
        let task = FanoutTask {
            after_user_id: after_user_id.to_owned(),
            ..self.task.clone()
        };
        Self {
            task,
            row: Row::There,
            ..*self
        }
    }

    pub(super) fn page(&self, default_size: u32) -> PageKey {
        let size = u32::try_from(self.batch_size).ok().filter(|size| *size > 0);
        PageKey {
            conversation_id: self.conversation_id.clone(),
            after_user_id: self.after_user_id.clone(),
            size: size.unwrap_or(default_size).min(1_000),
        }
    }

    /// Whether somebody is left out: the author, whose devices were served with the ack, and who was served elsewhere.
    pub(super) fn excludes(&self, user: &str) -> bool {
        let author = self
            .task
            .message
            .as_ref()
            .map(|message| message.sender_id.as_str());
        author == Some(user) || self.exclude_user_ids.iter().any(|id| id == user)
    }

    /// What gateways get; the connection it came from had its ack before. Nothing waits for the
    /// row, so a page may come behind a later message that an arrival was pushed: like a repeat, it
    /// is left out on connections that have seen the later one, whose clients find it in history.
    pub(super) fn body(&self) -> DownstreamMessage {
        let message = self.task.message.clone().unwrap_or_default();
        DownstreamMessage {
            origin: None,
            target_user_id: String::new(),
            broadcast: false,
            again: self.task.again || self.task.at_once,
            ..message
        }
    }

    /// Unix seconds at which the message was sequenced.
    pub(super) fn message_time(&self) -> i64 {
        self.task
            .message
            .as_ref()
            .map_or(0, |message| message.timestamp)
    }
}

impl Deref for Task {
    type Target = FanoutTask;

    fn deref(&self) -> &FanoutTask {
        &self.task
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(seq_id: i64) -> Task {
        let message = DownstreamMessage {
            sender_id: "1".into(),
            ..Default::default()
        };
        let task = FanoutTask {
            conversation_id: "g_5".into(),
            seq_id,
            message: Some(message),
            ..Default::default()
        };
        Task::decode(task.encode_to_vec().into()).unwrap()
    }

    fn heads(seq: i64, rev: i64) -> HashMap<String, Head> {
        HashMap::from([("g_5".to_owned(), Head { seq, rev })])
    }

    #[test]
    fn a_task_whose_row_is_late_goes_out_early_and_its_repeat_waits() {
        let mut task = task(7);
        task.learn(&heads(6, 0));
        assert!(task.is_due() && task.is_early());
        let mut repeat = task.repeat();
        repeat.learn(&heads(6, 0));
        assert!(!repeat.is_due() && repeat.needs_row());
        repeat.learn(&heads(7, 0));
        assert!(repeat.is_due() && !repeat.is_early());
    }

    #[test]
    fn a_change_waits_for_its_own_row_and_not_for_that_of_its_message() {
        let mut changed = task(7).task;
        if let Some(message) = &mut changed.message {
            message.rev = 12;
        }
        let task = Task::decode(changed.encode_to_vec().into()).unwrap();
        let stored = |seq, rev| {
            let mut task = task.repeat();
            task.learn(&heads(seq, rev));
            task.is_due()
        };
        assert!(!stored(9, 11) && stored(9, 12));
        assert!(stored(7, 0), "an im-repo that doesn't tell");
    }

    #[test]
    fn a_task_that_waits_for_nothing_goes_out_at_once_and_only_once() {
        let at_once = FanoutTask {
            at_once: true,
            ..task(7).task
        };
        let task = Task::decode(at_once.encode_to_vec().into()).unwrap();
        assert!(!task.needs_row() && task.is_due() && !task.is_early());
        assert!(task.next("99").at_once && !task.again && task.body().again);
    }

    #[test]
    fn later_pages_ask_for_no_row() {
        let next = task(7).next("99");
        let again = Task::decode(next.encode_to_vec().into()).unwrap();
        assert!(!again.needs_row() && again.is_due() && !again.is_early());
        assert_eq!(again.page(1_000).after_user_id, "99");
    }

    #[test]
    fn a_conversation_that_is_gone_ends_the_task_and_the_author_is_left_out() {
        let mut task = task(7);
        assert!(task.excludes("1") && !task.excludes("2"));
        task.learn(&HashMap::new());
        assert!(task.is_gone() && !task.is_due());
    }

    #[test]
    fn nonsense_is_named() {
        assert!(Task::decode(Bytes::from_static(&[0xff])).is_err());
        let world = FanoutTask {
            conversation_id: "world".into(),
            message: Some(Default::default()),
            ..Default::default()
        };
        assert!(Task::decode(world.encode_to_vec().into()).is_err());
    }
}
