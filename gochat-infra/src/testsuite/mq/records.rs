//! Facts about records and topics.

use super::*;
use crate::port::mq::{Headers, MAX_RECORD_BYTES, MqErrorKind};

/// Order within a partition, offsets that grow, reads that continue.
pub async fn records_of_a_partition_are_read_in_the_order_they_were_sent(subject: Subject) {
    let mq = subject.mq();
    let t = topic(&mq, TopicSpec::disk("t", 2)).await;
    let first = send(&mq, numbered(&t, 1, 10)).await;
    let second = send(&mq, numbered(&t, 1, 10)).await;
    assert!(
        first
            .iter()
            .chain(&second)
            .is_sorted_by(|a, b| a.offset < b.offset)
    );
    let tp = TopicPartition::new(t, 1);
    assert_eq!(
        everything(&mq, &tp).await,
        [texts(0..10), texts(0..10)].concat()
    );
    let tail = mq.read(&tp, second[3].offset, 100).await.unwrap();
    assert_eq!(values(&tail), texts(3..10));
    assert!(mq.end_offset(&tp).await.unwrap() > second[9].offset);
}

/// Partitioning.
pub async fn a_key_decides_the_partition_as_kafka_clients_do(subject: Subject) {
    let mq = subject.mq();
    let t = topic(&mq, TopicSpec::disk("t", 12)).await;
    assert_eq!(mq.partitions(&t).unwrap(), 12);
    let keys: Vec<String> = (0..50).map(|i| format!("s_{i}_{}", i + 1)).collect();
    let out = keys
        .iter()
        .map(|key| OutRecord::new(t.clone(), key.clone(), "v"))
        .collect();
    for (key, placed) in keys.iter().zip(send(&mq, out).await) {
        assert_eq!(
            placed.partition,
            gochat_core::partition::of_key(key.as_bytes(), 12)
        );
    }
}

/// Content.
pub async fn keys_values_and_headers_come_back_unchanged(mut subject: Subject) {
    let t = topic(&subject.mq(), TopicSpec::disk("t", 1)).await;
    let headers = Headers::none().with("X-Trace-ID", "abc").with("empty", "");
    let out = OutRecord::new(t.clone(), vec![0u8, 255], vec![7u8; 70_000]).with_headers(headers);
    send(
        &subject.mq(),
        vec![out.clone(), OutRecord::new(t.clone(), "", "")],
    )
    .await;
    for _ in 0..2 {
        let tp = TopicPartition::new(t.clone(), 0);
        let back = subject.mq().read(&tp, 0, 10).await.unwrap();
        assert_eq!(back[0].record, out.record);
        assert!(back[1].record.value.is_empty() && back[1].record.headers.is_empty());
        assert!(back[0].timestamp_ms > 1_700_000_000_000);
        subject.restart().await;
    }
}

/// Durability of `send`.
pub async fn what_was_sent_survives_a_restart(mut subject: Subject) {
    let t = topic(&subject.mq(), TopicSpec::disk("t", 3)).await;
    for round in 0..3 {
        for partition in 0..3 {
            send(&subject.mq(), numbered(&t, partition, 5)).await;
        }
        subject.restart().await;
        let tp = TopicPartition::new(t.clone(), 2);
        assert_eq!(everything(&subject.mq(), &tp).await.len(), 5 * (round + 1));
    }
}

/// Creating topics.
pub async fn topics_are_made_once_and_keep_their_shape(mut subject: Subject) {
    let spec = TopicSpec::disk("t", 2);
    let t = topic(&subject.mq(), spec.clone()).await;
    send(&subject.mq(), numbered(&t, 0, 3)).await;
    topic(&subject.mq(), spec.clone().consumed_by("later")).await;
    subject.restart().await;
    let mq = subject.mq();
    topic(&mq, spec).await;
    assert_eq!(
        everything(&mq, &TopicPartition::new(t, 0)).await,
        texts(0..3)
    );
    let kind = mq
        .ensure_topics(&[TopicSpec::disk("t", 3)])
        .await
        .unwrap_err()
        .kind;
    assert_eq!(kind, MqErrorKind::Invalid);
}

/// Deleting topics.
pub async fn a_deleted_topic_is_gone_with_its_offsets(mut subject: Subject) {
    let mq = subject.mq();
    let t = topic(&mq, TopicSpec::disk("t", 1)).await;
    send(&mq, numbered(&t, 0, 3)).await;
    let mut consumer = join(&mq, ConsumerConfig::group("g", [t.clone()])).await;
    let (tp, last) = take(&mut consumer, 3).await.pop().unwrap();
    let progress = crate::port::mq::Progress {
        tp: tp.clone(),
        offset: last.offset + 1,
    };
    consumer.commit(vec![progress]).await.unwrap();
    drop(consumer);
    mq.delete_topic(&t).await.unwrap();
    mq.delete_topic(&t).await.unwrap();
    assert_eq!(
        mq.partitions(&t).unwrap_err().kind,
        MqErrorKind::UnknownTopic
    );
    drop(mq);
    subject.restart().await;
    let mq = subject.mq();
    topic(&mq, TopicSpec::disk("t", 1)).await;
    assert_eq!(everything(&mq, &tp).await, texts(0..0));
    assert_eq!(mq.committed("g", &tp).await.unwrap(), None);
}

/// Finding topics of one kind.
pub async fn topics_are_listed_by_the_beginning_of_their_name(subject: Subject) {
    let mq = subject.mq();
    for spec in [
        TopicSpec::disk("listed.b", 1),
        TopicSpec::memory("listed.a", 1),
        TopicSpec::disk("other", 1),
    ] {
        topic(&mq, spec).await;
    }
    let names =
        |found: Vec<std::sync::Arc<str>>| found.iter().map(|n| n.to_string()).collect::<Vec<_>>();
    let found = names(mq.topics("listed.").await.unwrap());
    assert_eq!(found, ["listed.a", "listed.b"]);
    mq.delete_topic("listed.a").await.unwrap();
    let found = names(mq.topics("listed.").await.unwrap());
    assert_eq!(found, ["listed.b"]);
}

/// Refusals.
pub async fn wrong_records_are_refused_as_a_whole(subject: Subject) {
    let mq = subject.mq();
    let t = topic(&mq, TopicSpec::disk("t", 1)).await;
    let good = || OutRecord::new(t.clone(), "k", "v");
    let large = OutRecord::new(t.clone(), "k", vec![0u8; MAX_RECORD_BYTES]);
    let bad = [
        (large, MqErrorKind::TooLarge),
        (
            OutRecord::new("nowhere", "k", "v"),
            MqErrorKind::UnknownTopic,
        ),
        (good().to_partition(1), MqErrorKind::UnknownTopic),
    ];
    for (bad, kind) in bad {
        let error = mq.producer().send(vec![good(), bad]).await.unwrap_err();
        assert_eq!((error.kind, error.is_retryable()), (kind, false));
    }
    assert_eq!(mq.end_offset(&TopicPartition::new(t, 0)).await.unwrap(), 0);
}

/// Readers alone.
pub async fn a_reader_without_a_group_sees_everything_after_its_start(subject: Subject) {
    let mq = subject.mq();
    let t = topic(&mq, TopicSpec::memory("t", 1)).await;
    send(&mq, numbered(&t, 0, 2)).await;
    let mut a = join(&mq, ConsumerConfig::tail([t.clone()])).await;
    let mut b = join(&mq, ConsumerConfig::tail([t.clone()])).await;
    settle(&mut a, 1).await;
    settle(&mut b, 1).await;
    send(&mq, numbered(&t, 0, 3)).await;
    assert_eq!(take_values(&mut a, 3).await, texts(0..3));
    assert_eq!(take_values(&mut b, 3).await, texts(0..3));
    assert_eq!(
        a.commit(vec![]).await.unwrap_err().kind,
        MqErrorKind::Invalid
    );
}

/// Concurrency of senders.
pub async fn many_senders_at_once_lose_and_mix_nothing(mut subject: Subject) {
    const SENDERS: usize = 20;
    let t = topic(&subject.mq(), TopicSpec::disk("t", 4)).await;
    let senders: Vec<_> = (0..SENDERS)
        .map(|s| {
            let (producer, t) = (subject.mq().producer(), t.clone());
            tokio::spawn(async move {
                for i in 0..50 {
                    let record = OutRecord::new(t.clone(), s.to_string(), i.to_string());
                    producer.send(vec![record]).await.expect("accepted");
                }
            })
        })
        .collect();
    for sender in senders {
        sender.await.unwrap();
    }
    subject.restart().await;
    let mut seen = vec![Vec::new(); SENDERS];
    for p in 0..4 {
        let tp = TopicPartition::new(t.clone(), p);
        for r in subject.mq().read(&tp, 0, 10_000).await.unwrap() {
            let sender: usize = String::from_utf8_lossy(&r.record.key).parse().unwrap();
            seen[sender].extend(values([&r]));
        }
    }
    assert!(seen.iter().all(|values| *values == texts(0..50)));
}
