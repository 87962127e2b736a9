use proptest::prelude::*;

use crate::ids::SeqId;
use crate::sync::Timeline;

const LAST: SeqId = 40;

#[derive(Debug, Clone)]
enum Op {
    /// A push, of whatever number, as often and in whatever order the network likes.
    Push(SeqId),
    /// Rows up to this number are in the database now.
    Persist(SeqId),
    LastSeq(SeqId),
    /// The due fetch is answered with so many rows, or fails.
    Fetch(Option<usize>),
    Wait(u16),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        4 => (1..=LAST).prop_map(Op::Push),
        2 => (1..=LAST).prop_map(Op::Persist),
        1 => (1..=LAST).prop_map(Op::LastSeq),
        3 => prop::option::of(1..10usize).prop_map(Op::Fetch),
        2 => (0..2000u16).prop_map(Op::Wait),
    ]
}

struct Model {
    timeline: Timeline<SeqId>,
    rows: Vec<SeqId>,
    deleted: Vec<SeqId>,
    out: Vec<SeqId>,
    now: u64,
}

impl Model {
    fn persist(&mut self, to: SeqId) {
        let from = self.rows.last().copied().unwrap_or(0);
        self.rows.extend(from + 1..=to);
    }

    fn fetch(&mut self, limit: Option<usize>) {
        let Some(fetch) = self.timeline.poll_fetch(self.now) else {
            return;
        };
        match limit {
            None => self.timeline.handle_fetch_failed(self.now),
            Some(limit) => {
                let rows = self.rows.iter().filter(|s| !self.deleted.contains(s));
                let page = rows.filter(|&&s| s > fetch.after_seq).take(limit);
                let page = page.map(|&s| (s, s)).collect();
                self.timeline
                    .handle_fetched(fetch.after_seq, page, self.now);
            }
        }
    }

    fn drain(&mut self) {
        while let Some((seq, message)) = self.timeline.poll_message() {
            assert_eq!(seq, message);
            assert!(
                self.out.last().is_none_or(|&last| last < seq),
                "{seq} after {:?}",
                self.out
            );
            self.out.push(seq);
        }
    }
}

proptest! {
    #[test]
    fn any_loss_repetition_and_disorder_ends_in_the_complete_timeline(
        ops in prop::collection::vec(op(), 0..120),
        deleted in prop::collection::vec(1..LAST, 0..6),
        seed: u64,
    ) {
        let timeline = Timeline::new(0, seed);
        let mut model = Model { timeline, rows: Vec::new(), deleted, out: Vec::new(), now: 0 };
        for op in ops {
            match op {
                Op::Push(seq) => {
                    model.timeline.handle_message(seq, seq);
                }
                Op::Persist(to) => model.persist(to),
                Op::LastSeq(seq) => model.timeline.handle_last_seq(seq),
                Op::Fetch(limit) => model.fetch(limit),
                Op::Wait(ms) => model.now += u64::from(ms),
            }
            model.drain();
        }
        // The network calms down: everything is written, and the listing says how far it goes.
        model.persist(LAST);
        model.timeline.handle_last_seq(LAST);
        for _ in 0..2 * LAST {
            let Some(at) = model.timeline.poll_timeout() else { break };
            model.now = model.now.max(at);
            model.fetch(Some(7));
            model.drain();
        }
        prop_assert_eq!(model.timeline.complete_to(), LAST);
        let deleted = &model.deleted;
        for seq in 1..=LAST {
            // A recalled message may or may not have been seen before it was recalled.
            prop_assert!(deleted.contains(&seq) || model.out.contains(&seq), "{} is missing", seq);
        }
    }

    #[test]
    fn hostile_pages_never_panic(
        pages in prop::collection::vec(
            (any::<u64>(), prop::collection::vec(any::<u64>(), 0..6)), 0..8),
        pushes in prop::collection::vec(any::<u64>(), 0..8),
    ) {
        let mut timeline = Timeline::new(3, 1);
        for ((after, page), push) in pages.into_iter().zip(pushes) {
            timeline.handle_message(push, push);
            timeline.handle_last_seq(push / 2);
            timeline.poll_fetch(after);
            timeline.handle_fetched(after, page.into_iter().map(|s| (s, s)).collect(), after);
            let mut last = 0;
            while let Some((seq, _)) = timeline.poll_message() {
                prop_assert!(seq > last);
                last = seq;
            }
        }
    }
}
