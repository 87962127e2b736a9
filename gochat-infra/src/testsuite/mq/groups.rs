//! Facts about consumer groups.

use super::*;
use crate::port::mq::{MqErrorKind, Progress, Start};

fn group(t: &Arc<str>) -> ConsumerConfig {
    ConsumerConfig::group("g", [t.clone()])
}

fn impatient(subject: &Subject, t: &Arc<str>) -> ConsumerConfig {
    group(t).max_poll_interval(subject.shortest_poll_interval())
}

fn done(records: &[(TopicPartition, InRecord)]) -> Vec<Progress> {
    let (tp, last) = records.last().expect("some records");
    vec![Progress {
        tp: tp.clone(),
        offset: last.offset + 1,
    }]
}

/// Committed offsets survive.
pub async fn a_group_resumes_at_its_committed_offset_after_a_restart(mut subject: Subject) {
    let t = topic(&subject.mq(), TopicSpec::disk("t", 1).consumed_by("g")).await;
    let tp = TopicPartition::new(t.clone(), 0);
    send(&subject.mq(), numbered(&t, 0, 10)).await;
    assert_eq!(subject.mq().committed("g", &tp).await.unwrap(), None);
    let mut consumer = join(&subject.mq(), group(&t)).await;
    let records = take(&mut consumer, 4).await;
    consumer.commit(done(&records)).await.unwrap();
    drop(consumer);
    subject.restart().await;
    let committed = subject.mq().committed("g", &tp).await.unwrap();
    assert_eq!(committed, Some(records[3].1.offset + 1));
    let mut consumer = join(&subject.mq(), group(&t)).await;
    assert_eq!(take_values(&mut consumer, 6).await, texts(4..10));
}

/// Start positions.
pub async fn a_group_starts_at_the_first_record_or_at_the_end_as_told(subject: Subject) {
    let mq = subject.mq();
    let t = topic(&mq, TopicSpec::disk("t", 1)).await;
    send(&mq, numbered(&t, 0, 3)).await;
    let mut early = join(&mq, group(&t)).await;
    let latest = ConsumerConfig::group("late", [t.clone()]).start(Start::Latest);
    let mut late = join(&mq, latest.clone()).await;
    settle(&mut late, 1).await;
    late.close().await.unwrap();
    send(&mq, numbered(&t, 0, 2)).await;
    let mut late = join(&mq, latest).await;
    assert_eq!(
        take_values(&mut early, 5).await,
        [texts(0..3), texts(0..2)].concat()
    );
    assert_eq!(
        take_values(&mut late, 2).await,
        texts(0..2),
        "its place was kept while away"
    );
}

/// At-least-once.
pub async fn what_was_not_committed_comes_again(subject: Subject) {
    let mq = subject.mq();
    let t = topic(&mq, TopicSpec::disk("t", 1)).await;
    send(&mq, numbered(&t, 0, 5)).await;
    let mut consumer = join(&mq, group(&t)).await;
    let first = take(&mut consumer, 2).await;
    consumer.commit(done(&first)).await.unwrap();
    take(&mut consumer, 3).await;
    drop(consumer);
    let mut consumer = join(&mq, group(&t)).await;
    assert_eq!(take_values(&mut consumer, 3).await, texts(2..5));
}

/// Sharing.
pub async fn two_members_share_the_partitions(subject: Subject) {
    let mq = subject.mq();
    let t = topic(&mq, TopicSpec::disk("t", 4)).await;
    let (mut a, mut b) = (join(&mq, group(&t)).await, join(&mq, group(&t)).await);
    tokio::join!(settle(&mut a, 2), settle(&mut b, 2));
    for partition in 0..4 {
        send(&mq, numbered(&t, partition, 5)).await;
    }
    let (of_a, of_b) = tokio::join!(take(&mut a, 10), take(&mut b, 10));
    let partitions = |records: &[(TopicPartition, InRecord)]| {
        let mut all: Vec<u32> = records.iter().map(|(tp, _)| tp.partition).collect();
        all.sort_unstable();
        all.dedup();
        all
    };
    let mut all = [partitions(&of_a), partitions(&of_b)].concat();
    all.sort_unstable();
    assert_eq!(all, [0, 1, 2, 3]);
}

/// Hand-over.
pub async fn a_new_owner_starts_at_the_committed_offset(subject: Subject) {
    let mq = subject.mq();
    let t = topic(&mq, TopicSpec::disk("t", 2)).await;
    for partition in 0..2 {
        send(&mq, numbered(&t, partition, 4)).await;
    }
    let mut a = join(&mq, group(&t)).await;
    let mut records = take(&mut a, 8).await;
    records.sort_by_key(|(tp, r)| (tp.partition, r.offset));
    a.commit([done(&records[..3]), done(&records[4..7])].concat())
        .await
        .unwrap();
    let mut b = join(&mq, group(&t)).await;
    for _ in 0..5 {
        let early = poll(&mut b).await;
        assert!(early.is_empty(), "the owner has not let go yet");
    }
    let (mut lost, moved) = (Vec::new(), async { take(&mut b, 1).await.remove(0) });
    tokio::pin!(moved);
    let (tp, record) = loop {
        tokio::select! {
            biased;
            first = &mut moved => break first,
            polled = poll(&mut a) => lost.extend(polled.revoked),
        }
    };
    while lost.is_empty() {
        lost.extend(poll(&mut a).await.revoked);
    }
    assert_eq!((lost, values([&record])), (vec![tp.clone()], texts(3..4)));
    let late = vec![Progress { tp, offset: 4 }];
    assert_eq!(a.commit(late).await.unwrap_err().kind, MqErrorKind::Fenced);
}

/// Leaving.
pub async fn leaving_hands_over_at_once(subject: Subject) {
    let mq = subject.mq();
    let t = topic(&mq, TopicSpec::disk("t", 3)).await;
    let mut a = join(&mq, group(&t)).await;
    settle(&mut a, 3).await;
    let mut b = join(&mq, group(&t)).await;
    a.close().await.unwrap();
    settle(&mut b, 3).await;
    let mut c = join(&mq, group(&t)).await;
    drop(b);
    settle(&mut c, 3).await;
}

/// Fencing of a consumer that was away for too long.
pub async fn a_member_that_lost_its_partition_is_fenced(subject: Subject) {
    let mq = subject.mq();
    let t = topic(&mq, TopicSpec::disk("t", 1)).await;
    send(&mq, numbered(&t, 0, 2)).await;
    let mut zombie = join(&mq, impatient(&subject, &t)).await;
    let records = take(&mut zombie, 2).await;
    let mut heir = join(&mq, impatient(&subject, &t)).await;
    assert_eq!(
        take_values(&mut heir, 2).await,
        texts(0..2),
        "nothing was committed"
    );
    let error = zombie.commit(done(&records)).await.unwrap_err();
    assert_eq!(
        (error.kind, error.is_retryable()),
        (MqErrorKind::Fenced, false)
    );
    assert_eq!(
        poll(&mut zombie).await.revoked.len(),
        1,
        "it learns what it lost"
    );
    heir.commit(done(&records)).await.unwrap();
}

/// Cancel safety.
pub async fn a_dropped_poll_loses_nothing(subject: Subject) {
    let mq = subject.mq();
    let t = topic(&mq, TopicSpec::disk("t", 1)).await;
    let mut consumer = join(&mq, group(&t)).await;
    let mut sent = 0;
    let mut got = Vec::new();
    while got.len() < 20 {
        if sent < 20 {
            send(&mq, numbered(&t, 0, 1)).await;
            sent += 1;
        }
        tokio::select! {
            biased;
            () = tokio::task::yield_now() => {}
            polled = consumer.poll(3, LIMIT) => {
                let polled = polled.unwrap();
                got.extend(polled.batches.iter().flat_map(|b| b.records.iter().map(|r| r.offset)));
            }
        }
    }
    assert!(got.is_sorted_by(|a, b| a < b) && got.len() == 20);
}

/// Holding back.
pub async fn a_poll_for_nothing_keeps_the_membership_without_taking_records(subject: Subject) {
    let mq = subject.mq();
    let t = topic(&mq, TopicSpec::disk("t", 1)).await;
    send(&mq, numbered(&t, 0, 3)).await;
    let mut a = join(&mq, impatient(&subject, &t)).await;
    settle(&mut a, 1).await;
    let mut b = join(&mq, impatient(&subject, &t)).await;
    let started = std::time::Instant::now();
    while started.elapsed() < subject.shortest_poll_interval() * 4 {
        let polled = a.poll(0, Duration::from_millis(10)).await.unwrap();
        assert_eq!(polled, Poll::default());
        assert_eq!(b.poll(0, Duration::ZERO).await.unwrap(), Poll::default());
    }
    assert_eq!(take_values(&mut a, 3).await, texts(0..3));
}

/// Positions.
pub async fn seeking_back_reads_again(subject: Subject) {
    let mq = subject.mq();
    let t = topic(&mq, TopicSpec::disk("t", 1)).await;
    send(&mq, numbered(&t, 0, 4)).await;
    let mut consumer = join(&mq, group(&t)).await;
    let records = take(&mut consumer, 4).await;
    let (tp, record) = records[2].clone();
    consumer
        .seek(&[Progress {
            tp,
            offset: record.offset,
        }])
        .unwrap();
    assert_eq!(take_values(&mut consumer, 2).await, texts(2..4));
    let elsewhere = Progress {
        tp: TopicPartition::new("other", 0),
        offset: 0,
    };
    assert_eq!(
        consumer.seek(&[elsewhere]).unwrap_err().kind,
        MqErrorKind::Fenced
    );
}

/// Barriers.
pub async fn waiting_for_a_group_ends_when_it_has_passed(subject: Subject) {
    let mq = subject.mq();
    let t = topic(&mq, TopicSpec::disk("t", 1)).await;
    let placed = send(&mq, numbered(&t, 0, 2)).await;
    let tp = TopicPartition::new(t.clone(), 0);
    let mut consumer = join(&mq, group(&t)).await;
    let records = take(&mut consumer, 2).await;
    let waiter = {
        let (mq, tp, offset) = (mq.clone(), tp.clone(), placed[1].offset + 1);
        tokio::spawn(async move { mq.wait_committed("g", &tp, offset).await })
    };
    consumer.commit(done(&records[..1])).await.unwrap();
    tokio::task::yield_now().await;
    assert!(!waiter.is_finished(), "one record is still to come");
    consumer.commit(done(&records)).await.unwrap();
    tokio::time::timeout(LIMIT, waiter)
        .await
        .expect("in time")
        .unwrap()
        .unwrap();
    let nowhere = TopicPartition::new("nowhere", 0);
    let error = mq.wait_committed("g", &nowhere, 0).await.unwrap_err();
    assert_eq!(error.kind, MqErrorKind::UnknownTopic);
}
