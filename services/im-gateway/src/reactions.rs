//! Reactions are told together: a message that many people react to would else be pushed to
//! everybody once per reaction.
//!
//! The first reaction in a conversation goes out at once and opens a window. Those that follow
//! within it are held, one frame per message, with the counts of the newest and the numbers of all.
//! They go out when the window ends, or before the next message or other change of the
//! conversation, so numbers come nearly in order: reactions to several messages interleave. What is
//! lost with a gateway was on its way to sockets that are lost with it.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use gochat_core::ids::ConnId;
use gochat_core::message::ChangeKind;
use gochat_proto::mq::v1::{DownstreamKind, DownstreamMessage};
use hashbrown::HashMap;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::downstream;
use crate::state::Gw;

/// How long reactions are held at most.
const HOLD: Duration = Duration::from_millis(250);
/// How often windows that end are looked for, while there are any.
const TICK: Duration = Duration::from_millis(50);
/// Conversations with a window at most; reactions in others go out at once.
const WINDOWS_MAX: usize = 10_000;
/// Reactions that one window holds at most: then they go out.
const HELD_MAX: usize = 1_000;
/// So many receivers of a frame that is held take as much room as a reaction.
const RECEIVERS: usize = 100;
/// How long it is known which reactions were told together: what was pushed is pushed again to
/// newcomers within this time.
const KNOWN_FOR: Duration = Duration::from_secs(10);
/// Reactions of which that is known at most.
const KNOWN_MAX: usize = 20_000;

/// The newest of some reactions to one message.
#[derive(Debug, Clone)]
pub(crate) struct Held {
    /// Its record, without origin.
    pub(crate) message: DownstreamMessage,
    /// Connection that made it, when it is the only one; 0 = nobody is left out.
    pub(crate) skip: ConnId,
    /// Numbers of all of them, ascending.
    pub(crate) revs: Vec<i64>,
}

impl Held {
    /// Whether a reaction is to the same message and for the same receivers. Those of others are
    /// told apart: who left in between hears nothing of what came after.
    fn is_for_those_of(&self, message: &DownstreamMessage) -> bool {
        let held = &self.message;
        held.message_id == message.message_id
            && held.broadcast == message.broadcast
            && held.exclude_user_ids == message.exclude_user_ids
            && held.target_user_id == message.target_user_id
            && held.target_user_ids == message.target_user_ids
            && held.member_ids == message.member_ids
    }
}

impl Held {
    /// Whether it stands for a reaction, and goes to all of its receivers.
    fn reaches_those_of(&self, again: &DownstreamMessage) -> bool {
        let held = &self.message;
        let is_it = held.message_id == again.message_id && self.revs.contains(&again.rev);
        let is_member = |id: &str| {
            let id = id.parse::<u64>();
            id.is_ok_and(|id| held.member_ids.binary_search(&id).is_ok())
        };
        let reaches =
            |id: &String| held.broadcast || held.target_user_ids.contains(id) || is_member(id);
        let one = Some(&again.target_user_id).filter(|id| !id.is_empty());
        let is_list = !again.broadcast && again.member_ids.is_empty();
        is_it && is_list && again.target_user_ids.iter().chain(one).all(reaches)
    }
}

struct Window {
    until: Instant,
    held: Vec<Held>,
    count: usize,
}

/// Which reactions were told together lately.
#[derive(Default)]
struct Together {
    /// By conversation and number: the number of the frame that told it.
    by_rev: HashMap<(u64, i64), i64>,
    /// Oldest first.
    order: VecDeque<(Instant, (u64, i64))>,
}

/// Windows by conversation.
#[derive(Default)]
pub(crate) struct Reactions {
    windows: Mutex<HashMap<u64, Window>>,
    together: Mutex<Together>,
    /// Number of windows, for those who find none.
    open: AtomicUsize,
    opened: Notify,
}

/// Whether a record tells of a reaction for the first time.
pub(crate) fn is_reaction(message: &DownstreamMessage) -> bool {
    let kind = ChangeKind::from_i32(message.change);
    let is_change = message.kind == DownstreamKind::Change as i32;
    is_change && !message.again && kind.is_some_and(ChangeKind::is_reaction)
}

/// What becomes of a reaction.
pub(crate) enum Outcome {
    /// It is to be told now.
    Now,
    /// It is told later, together with others.
    Later,
    /// The same, and the window is full: these are to be told now.
    Full(Vec<Held>),
}

impl Reactions {
    /// Takes a reaction made by connection `skip`, 0 when no connection is to be left out.
    pub(crate) fn take(
        &self,
        conversation: u64,
        message: &DownstreamMessage,
        skip: ConnId,
        now: Instant,
    ) -> Outcome {
        let mut windows = self.windows.lock();
        let Some(window) = windows.get_mut(&conversation) else {
            if windows.len() < WINDOWS_MAX {
                let window = Window {
                    until: now + HOLD,
                    held: Vec::new(),
                    count: 0,
                };
                windows.insert(conversation, window);
                self.open.store(windows.len(), Ordering::Release);
                self.opened.notify_one();
            }
            return Outcome::Now;
        };
        window.count += 1;
        match window
            .held
            .iter_mut()
            .find(|held| held.is_for_those_of(message))
        {
            Some(held) => {
                held.message.clone_from(message);
                held.revs.push(message.rev);
                held.skip = 0;
            }
            None => {
                let receivers = message.member_ids.len() + message.target_user_ids.len();
                window.count += receivers / RECEIVERS;
                window.held.push(Held {
                    message: message.clone(),
                    skip,
                    revs: vec![message.rev],
                });
            }
        }
        if window.count < HELD_MAX {
            return Outcome::Later;
        }
        window.count = 0;
        Outcome::Full(std::mem::take(&mut window.held))
    }

    /// Whether a reaction that comes once more, because its receivers may have missed it, is still
    /// held for all of them.
    pub(crate) fn holds(&self, conversation: u64, again: &DownstreamMessage) -> bool {
        if self.is_idle() {
            return false;
        }
        let windows = self.windows.lock();
        let held = windows
            .get(&conversation)
            .into_iter()
            .flat_map(|window| &window.held);
        held.into_iter().any(|held| held.reaches_those_of(again))
    }

    /// What has to be told before anything else of the conversation.
    pub(crate) fn before(&self, conversation: u64) -> Vec<Held> {
        if self.is_idle() {
            return Vec::new();
        }
        let mut windows = self.windows.lock();
        let Some(window) = windows.get_mut(&conversation) else {
            return Vec::new();
        };
        window.count = 0;
        std::mem::take(&mut window.held)
    }

    /// What is due. A window that held something stays open for another while, others end.
    fn due(&self, now: Instant) -> Vec<Held> {
        let mut due = Vec::new();
        let mut windows = self.windows.lock();
        windows.retain(|_, window| {
            if window.until > now {
                return true;
            }
            let goes_on = !window.held.is_empty();
            due.append(&mut window.held);
            (window.until, window.count) = (now + HOLD, 0);
            goes_on
        });
        self.open.store(windows.len(), Ordering::Release);
        due
    }

    /// Notes that one frame tells these numbers of a conversation, ascending.
    pub(crate) fn note_told(&self, conversation: u64, revs: &[i64], now: Instant) {
        let Some(last) = revs.last().filter(|_| revs.len() > 1) else {
            return;
        };
        let mut together = self.together.lock();
        for rev in revs {
            let key = (conversation, *rev);
            together.by_rev.insert(key, *last);
            together.order.push_back((now, key));
        }
        while let Some(&(at, key)) = together.order.front()
            && (together.order.len() > KNOWN_MAX || at + KNOWN_FOR < now)
        {
            together.order.pop_front();
            together.by_rev.remove(&key);
        }
    }

    /// The number of the frame that told a reaction; its own, when it was told alone.
    pub(crate) fn told_as(&self, conversation: u64, rev: i64) -> i64 {
        let told = self
            .together
            .lock()
            .by_rev
            .get(&(conversation, rev))
            .copied();
        told.unwrap_or(rev)
    }

    fn is_idle(&self) -> bool {
        self.open.load(Ordering::Acquire) == 0
    }
}

/// Tells what was held until the gateway stops.
pub(crate) async fn run(gw: Gw, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = gw.reactions.opened.notified() => {}
        }
        while !gw.reactions.is_idle() {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(TICK) => {}
            }
            downstream::tell(&gw, gw.reactions.due(Instant::now())).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reaction(message_id: i64, rev: i64) -> DownstreamMessage {
        DownstreamMessage {
            kind: DownstreamKind::Change as i32,
            change: ChangeKind::React.as_i32(),
            message_id,
            rev,
            ..Default::default()
        }
    }

    fn told(held: &[Held]) -> Vec<(i64, Vec<i64>, u64)> {
        let one = |held: &Held| (held.message.rev, held.revs.clone(), held.skip);
        held.iter().map(one).collect()
    }

    #[test]
    fn the_first_goes_out_and_others_wait_for_the_end_of_the_window() {
        let (reactions, start) = (Reactions::default(), Instant::now());
        let take = |message, rev, skip| reactions.take(1, &reaction(message, rev), skip, start);
        assert!(matches!(take(7, 1, 9), Outcome::Now));
        for (message, rev, skip) in [(7, 2, 9), (8, 3, 9), (7, 4, 9)] {
            assert!(matches!(take(message, rev, skip), Outcome::Later));
        }
        assert!(reactions.due(start + HOLD / 2).is_empty());
        let due = reactions.due(start + HOLD);
        // Made by one connection: it is left out, unless others react too.
        assert_eq!(told(&due), [(4, vec![2, 4], 0), (3, vec![3], 9)]);
        assert!(
            matches!(take(7, 5, 9), Outcome::Later),
            "the window goes on"
        );
        assert_eq!(told(&reactions.due(start + 2 * HOLD)), [(5, vec![5], 9)]);
        assert!(reactions.due(start + 3 * HOLD).is_empty() && reactions.is_idle());
        assert!(matches!(take(7, 6, 9), Outcome::Now));
    }

    #[test]
    fn what_is_held_goes_out_before_anything_else_of_the_conversation() {
        let (reactions, start) = (Reactions::default(), Instant::now());
        for rev in 1..4 {
            reactions.take(1, &reaction(7, rev), 0, start);
        }
        assert!(reactions.before(2).is_empty());
        assert_eq!(told(&reactions.before(1)), [(3, vec![2, 3], 0)]);
        assert!(reactions.before(1).is_empty());
    }

    #[test]
    fn it_is_known_for_a_while_which_were_told_together() {
        let (reactions, start) = (Reactions::default(), Instant::now());
        reactions.note_told(1, &[2, 4, 5], start);
        reactions.note_told(1, &[7], start);
        let told = [2, 4, 5, 6, 7].map(|rev| reactions.told_as(1, rev));
        assert_eq!(told, [5, 5, 5, 6, 7]);
        assert_eq!(reactions.told_as(2, 4), 4);
        reactions.note_told(1, &[8, 9], start + 2 * KNOWN_FOR);
        assert_eq!([4, 8].map(|rev| reactions.told_as(1, rev)), [4, 9]);
    }

    #[test]
    fn what_is_held_is_not_told_again_to_those_it_is_held_for() {
        let (reactions, start) = (Reactions::default(), Instant::now());
        let to = |users: &[&str], rev| DownstreamMessage {
            target_user_ids: users.iter().map(ToString::to_string).collect(),
            ..reaction(7, rev)
        };
        assert!(!reactions.holds(1, &to(&["1"], 2)));
        for rev in 1..3 {
            reactions.take(1, &to(&["1", "2"], rev), 0, start);
        }
        assert!(reactions.holds(1, &to(&["1"], 2)));
        assert!(!reactions.holds(1, &to(&["1"], 1)), "it went out");
        assert!(!reactions.holds(1, &to(&["1", "3"], 2)));
        assert!(!reactions.holds(2, &to(&["1"], 2)));
    }

    #[test]
    fn reactions_for_other_receivers_are_told_apart() {
        let (reactions, start) = (Reactions::default(), Instant::now());
        let to = |users: &[&str], rev| DownstreamMessage {
            target_user_ids: users.iter().map(ToString::to_string).collect(),
            ..reaction(7, rev)
        };
        for record in [
            to(&[], 0),
            to(&["1"], 1),
            to(&["2"], 1),
            to(&["1"], 2),
            to(&["1", "3"], 3),
        ] {
            reactions.take(1, &record, 0, start);
        }
        let held = reactions.before(1);
        assert_eq!(
            told(&held),
            [(2, vec![1, 2], 0), (1, vec![1], 0), (3, vec![3], 0)]
        );
    }

    #[test]
    fn a_window_holds_a_thousand() {
        let (reactions, start) = (Reactions::default(), Instant::now());
        reactions.take(1, &reaction(7, 0), 0, start);
        for rev in 1..1_000 {
            let taken = reactions.take(1, &reaction(7, rev), 0, start);
            assert!(matches!(taken, Outcome::Later), "{rev}");
        }
        let Outcome::Full(held) = reactions.take(1, &reaction(7, 1_000), 0, start) else {
            panic!("not full");
        };
        assert_eq!(held[0].revs.len(), 1_000);
        // Lists of a large group, one per message, take more room.
        let to_group = |message| DownstreamMessage {
            member_ids: (0..10_000).collect(),
            ..reaction(message, message)
        };
        let mut taken = (1..100).map(|message| reactions.take(1, &to_group(message), 0, start));
        assert_eq!(
            taken.position(|outcome| matches!(outcome, Outcome::Full(_))),
            Some(9)
        );
    }
}
