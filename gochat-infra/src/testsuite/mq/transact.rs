//! Facts about the atomic step.

use super::*;
use crate::port::mq::{MqErrorKind, Progress, VisibleOn};

const GROUP: &str = "steps";

async fn in_and_out(mq: &Arc<dyn Mq>) -> (Arc<str>, Arc<str>) {
    let input = TopicSpec::disk("in", 1)
        .consumed_by(GROUP)
        .visible_on(VisibleOn::Append);
    (
        topic(mq, input).await,
        topic(mq, TopicSpec::disk("out", 2)).await,
    )
}

fn steps(t: &Arc<str>) -> ConsumerConfig {
    ConsumerConfig::group(GROUP, [t.clone()]).transactional("steps-1")
}

fn after(records: &[(TopicPartition, InRecord)]) -> Vec<Progress> {
    let (tp, last) = records.last().expect("some records");
    vec![Progress {
        tp: tp.clone(),
        offset: last.offset + 1,
    }]
}

/// All of it.
pub async fn a_step_shows_outputs_and_progress_together(mut subject: Subject) {
    let mq = subject.mq();
    let (input, out) = in_and_out(&mq).await;
    let push = topic(&mq, TopicSpec::memory("push", 1)).await;
    send(&mq, numbered(&input, 0, 3)).await;
    let mut consumer = join(&mq, steps(&input)).await;
    let records = take(&mut consumer, 3).await;
    let outputs = [
        numbered(&out, 0, 2),
        numbered(&push, 0, 1),
        numbered(&out, 1, 1),
    ]
    .concat();
    consumer.transact(outputs, after(&records)).await.unwrap();
    let at = |topic: &Arc<str>, p| TopicPartition::new(topic.clone(), p);
    assert_eq!(everything(&mq, &at(&push, 0)).await, texts(0..1));
    drop((mq, consumer));
    for _ in 0..2 {
        let mq = subject.mq();
        assert_eq!(everything(&mq, &at(&out, 0)).await, texts(0..2));
        assert_eq!(everything(&mq, &at(&out, 1)).await, texts(0..1));
        let committed = mq.committed(GROUP, &at(&input, 0)).await.unwrap();
        assert_eq!(committed, Some(after(&records)[0].offset));
        drop(mq);
        subject.restart().await;
    }
}

/// Nothing of it.
pub async fn a_refused_step_shows_nothing_and_is_polled_again(subject: Subject) {
    let mq = subject.mq();
    let (input, out) = in_and_out(&mq).await;
    send(&mq, numbered(&input, 0, 3)).await;
    let mut consumer = join(&mq, steps(&input)).await;
    for _ in 0..2 {
        let records = take(&mut consumer, 3).await;
        let bad = [numbered(&out, 0, 1), numbered(&Arc::from("nowhere"), 0, 1)].concat();
        let error = consumer.transact(bad, after(&records)).await.unwrap_err();
        assert_eq!(error.kind, MqErrorKind::UnknownTopic);
    }
    assert_eq!(
        take_values(&mut consumer, 3).await,
        texts(0..3),
        "from the committed offset"
    );
    let tp = TopicPartition::new(out, 0);
    assert_eq!(everything(&mq, &tp).await, texts(0..0));
    let plain = ConsumerConfig::group("plain", [input.clone()]);
    let mut plain = join(&mq, plain).await;
    settle(&mut plain, 1).await;
    let error = plain.transact(vec![], vec![]).await.unwrap_err();
    assert_eq!(error.kind, MqErrorKind::Invalid, "needs a transactional id");
}

/// Zombies.
pub async fn a_step_of_a_fenced_owner_shows_nothing(subject: Subject) {
    let mq = subject.mq();
    let (input, out) = in_and_out(&mq).await;
    send(&mq, numbered(&input, 0, 2)).await;
    let impatient = steps(&input).max_poll_interval(subject.shortest_poll_interval());
    let mut zombie = join(&mq, impatient.clone()).await;
    let stale = take(&mut zombie, 2).await;
    let mut heir = join(&mq, impatient.transactional("steps-2")).await;
    let records = take(&mut heir, 2).await;
    let error = zombie
        .transact(numbered(&out, 0, 9), after(&stale))
        .await
        .unwrap_err();
    assert_eq!(error.kind, MqErrorKind::Fenced);
    heir.transact(numbered(&out, 0, 2), after(&records))
        .await
        .unwrap();
    assert_eq!(
        everything(&mq, &TopicPartition::new(out, 0)).await,
        texts(0..2)
    );
}

/// Exactly once across restarts.
pub async fn a_chain_of_steps_survives_a_restart_exactly_once(mut subject: Subject) {
    const ALL: usize = 60;
    let (input, out) = in_and_out(&subject.mq()).await;
    send(&subject.mq(), numbered(&input, 0, ALL)).await;
    for _ in 0..4 {
        let mq = subject.mq();
        let mut consumer = join(&mq, steps(&input)).await;
        for _ in 0..3 {
            let records = take(&mut consumer, 5).await;
            let copy = |(_, r): &(TopicPartition, InRecord)| {
                OutRecord::new(out.clone(), "", r.record.value.clone()).to_partition(1)
            };
            let outputs = records.iter().map(copy).collect();
            consumer.transact(outputs, after(&records)).await.unwrap();
        }
        // Taken but never finished: has to come again.
        if mq
            .committed(GROUP, &TopicPartition::new(input.clone(), 0))
            .await
            .unwrap()
            < Some(ALL as u64)
        {
            take(&mut consumer, 2).await;
        }
        drop((consumer, mq));
        subject.restart().await;
    }
    assert_eq!(
        everything(&subject.mq(), &TopicPartition::new(out, 1)).await,
        texts(0..ALL)
    );
}
