//! What the port promises and only Kafka makes hard.

use std::sync::Arc;
use std::time::{Duration, Instant};

use gochat_infra::port::mq::{
    self, Consumer, ConsumerConfig, Mq, MqErrorKind, OutRecord, Progress, TopicPartition, TopicSpec,
};
use metrics_exporter_prometheus::PrometheusBuilder;
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::{Headers as _, Message as _};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::{Reconnected, brokers, connect};

const LIMIT: Duration = Duration::from_secs(20);

fn raw() -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", brokers());
    config
}

async fn topic(subject: &Reconnected, spec: TopicSpec) -> TopicPartition {
    let mq = subject.kafka();
    mq.ensure_topics(std::slice::from_ref(&spec)).await.unwrap();
    TopicPartition::new(spec.name, 0)
}

async fn send(subject: &Reconnected, tp: &TopicPartition, values: std::ops::Range<usize>) {
    let record = |i: usize| OutRecord::new(tp.topic.clone(), "", i.to_string()).to_partition(0);
    let producer = subject.kafka().producer();
    producer.send(values.map(record).collect()).await.unwrap();
}

/// Polls until `n` records came; values and skipped records.
async fn take(consumer: &mut Box<dyn Consumer>, n: usize) -> (Vec<usize>, u64) {
    let (mut values, mut skipped) = (Vec::new(), 0);
    let collect = async {
        while values.len() < n {
            for batch in consumer
                .poll(n - values.len(), LIMIT)
                .await
                .unwrap()
                .batches
            {
                skipped += batch.skipped;
                let value = |v: &[u8]| std::str::from_utf8(v).unwrap().parse::<usize>().unwrap();
                values.extend(batch.records.iter().map(|r| value(&r.record.value)));
            }
        }
    };
    tokio::time::timeout(LIMIT, collect).await.expect("in time");
    (values, skipped)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_called_the_end_while_a_transaction_before_it_is_open() {
    let subject = Reconnected::new().await;
    let tp = topic(&subject, TopicSpec::disk("t", 1)).await;
    let wire = format!("{}t", subject.config.prefix);
    let writer: BaseProducer = raw()
        .set("transactional.id", format!("{wire}-writer"))
        .create()
        .unwrap();
    writer.init_transactions(LIMIT).unwrap();
    for commit in [true, false] {
        let from = subject.kafka().end_offset(&tp).await.unwrap();
        writer.begin_transaction().unwrap();
        let record = BaseRecord::to(&wire).partition(0).key("k").payload("v");
        writer.send(record).unwrap();
        writer.flush(LIMIT).unwrap();
        assert!(subject.kafka().end_offset(&tp).await.unwrap() > from);
        let reading = {
            let (mq, tp) = (subject.kafka().clone(), tp.clone());
            tokio::spawn(async move { mq.read(&tp, from, 10).await.unwrap().len() })
        };
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert!(!reading.is_finished(), "it may still be committed");
        match commit {
            true => writer.commit_transaction(LIMIT).unwrap(),
            false => writer.abort_transaction(LIMIT).unwrap(),
        }
        assert_eq!(reading.await.unwrap(), usize::from(commit));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idle_consumer_wakes_when_a_record_comes() {
    let subject = Reconnected::new().await;
    let tp = topic(&subject, TopicSpec::memory("t", 1)).await;
    let config = ConsumerConfig::tail([tp.topic.clone()]);
    let mut consumer = subject.kafka().consumer(config).await.unwrap();
    send(&subject, &tp, 0..1).await;
    assert_eq!(take(&mut consumer, 1).await.0, [0]);
    let mut times = Vec::new();
    for i in 1..21 {
        let began = Instant::now();
        // The poll waits before the record is sent: without a wake-up it looks again after 100 ms.
        let (taken, ()) = tokio::join!(
            biased;
            take(&mut consumer, 1),
            send(&subject, &tp, i..i + 1),
        );
        assert_eq!(taken.0, [i]);
        times.push(began.elapsed());
    }
    times.sort_unstable();
    // A busy machine makes some of them late; not one would be in time by chance.
    assert!(times[4] < Duration::from_millis(90), "{times:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_say_when_they_were_made_and_by_whom() {
    let subject = Reconnected::new().await;
    let events = topic(&subject, TopicSpec::disk("t", 1)).await;
    let path = topic(&subject, TopicSpec::disk("gochat.messages.x", 1)).await;
    for (tp, expected) in [(events, vec!["X-Timestamp", "X-Source"]), (path, vec![])] {
        send(&subject, &tp, 0..1).await;
        let read = subject.kafka().read(&tp, 0, 1).await.unwrap();
        assert!(read[0].record.headers.is_empty(), "not for readers of ours");
        let stranger: BaseConsumer = raw().set("group.id", "stranger").create().unwrap();
        let wire = format!("{}{}", subject.config.prefix, tp.topic);
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(&wire, 0, Offset::Beginning)
            .unwrap();
        stranger.assign(&list).unwrap();
        let message = stranger.poll(LIMIT).unwrap().unwrap();
        let headers = message.headers().map(|headers| {
            let names = headers.iter().map(|header| header.key.to_owned());
            names.collect::<Vec<_>>()
        });
        assert_eq!(headers.unwrap_or_default(), expected);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn topics_made_and_deleted_by_others_are_noticed() {
    let subject = Reconnected::new().await;
    let other = connect(&subject.config).await;
    let known = |mq: &gochat_infra::cluster::kafka::KafkaMq| mq.partitions("t").is_ok();
    let mine = subject.kafka();
    assert!(!known(mine));
    other
        .ensure_topics(&[TopicSpec::disk("t", 2)])
        .await
        .unwrap();
    for wanted in [true, false] {
        let began = Instant::now();
        while known(mine) != wanted {
            assert!(began.elapsed() < Duration::from_secs(15));
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        if wanted {
            other.delete_topic("t").await.unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_of_a_deleted_topic_is_told_and_can_begin_anew() {
    let subject = Reconnected::new().await;
    let mq = subject.kafka();
    let tp = topic(&subject, TopicSpec::memory("t", 1)).await;
    let config = ConsumerConfig::tail([tp.topic.clone()]);
    let mut consumer = mq.consumer(config.clone()).await.unwrap();
    send(&subject, &tp, 0..3).await;
    take(&mut consumer, 3).await;
    connect(&subject.config)
        .await
        .delete_topic("t")
        .await
        .unwrap();
    let told = async {
        loop {
            if let Err(error) = consumer.poll(10, Duration::from_millis(100)).await {
                return error;
            }
        }
    };
    let error = tokio::time::timeout(LIMIT, told).await.expect("in time");
    assert_eq!(error.kind, MqErrorKind::UnknownTopic);
    let tp = topic(&subject, TopicSpec::memory("t", 1)).await;
    let mut consumer = mq.consumer(config).await.unwrap();
    send(&subject, &tp, 5..8).await;
    assert_eq!(take(&mut consumer, 3).await.0, [5, 6, 7]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_deleted_before_they_were_read_are_counted() {
    let subject = Reconnected::new().await;
    let tp = topic(&subject, TopicSpec::memory("t", 1)).await;
    send(&subject, &tp, 0..10).await;
    let config = ConsumerConfig::group("g", [tp.topic.clone()]);
    let mut consumer = subject.kafka().consumer(config.clone()).await.unwrap();
    assert_eq!(take(&mut consumer, 2).await.0, [0, 1]);
    let done = vec![gochat_infra::port::mq::Progress {
        tp: tp.clone(),
        offset: 2,
    }];
    consumer.commit(done).await.unwrap();
    consumer.close().await.unwrap();
    let admin: AdminClient<DefaultClientContext> = raw().create().unwrap();
    let mut list = TopicPartitionList::new();
    let wire = format!("{}t", subject.config.prefix);
    list.add_partition_offset(&wire, 0, Offset::Offset(6))
        .unwrap();
    admin
        .delete_records(&list, &AdminOptions::new())
        .await
        .unwrap();
    let mut consumer = subject.kafka().consumer(config).await.unwrap();
    assert_eq!(take(&mut consumer, 4).await, (vec![6, 7, 8, 9], 4));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_consumer_that_holds_back_before_a_mountain_of_records_still_hands_over() {
    let subject = Reconnected::new().await;
    let mq = subject.kafka();
    mq.ensure_topics(&[TopicSpec::disk("t", 2)]).await.unwrap();
    let t: Arc<str> = "t".into();
    let large = bytes::Bytes::from(vec![7u8; 50_000]);
    for partition in 0..2 {
        for _ in 0..4 {
            let record = || OutRecord::new(t.clone(), "", large.clone()).to_partition(partition);
            let records = (0..20).map(|_| record()).collect();
            mq.producer().send(records).await.unwrap();
        }
    }
    let mut config = ConsumerConfig::group("g", [t.clone()]);
    config.max_poll_bytes = 300_000;
    let mut a = mq.consumer(config.clone()).await.unwrap();
    let mut owned = 0;
    while owned < 2 {
        owned += a.poll(0, LIMIT).await.unwrap().assigned.len();
    }
    // Time for librdkafka to fetch more than the bound.
    for _ in 0..10 {
        assert!(
            a.poll(0, Duration::from_millis(20))
                .await
                .unwrap()
                .is_empty()
        );
    }
    let mut b = mq.consumer(config).await.unwrap();
    let (mut lost, mut got) = (0, 0);
    let handed_over = async {
        while lost == 0 || got == 0 {
            lost += a
                .poll(0, Duration::from_millis(20))
                .await
                .unwrap()
                .revoked
                .len();
            got += b
                .poll(0, Duration::from_millis(20))
                .await
                .unwrap()
                .assigned
                .len();
        }
    };
    tokio::time::timeout(LIMIT, handed_over)
        .await
        .expect("in time");
    for consumer in [&mut a, &mut b] {
        let mut offsets = Vec::new();
        let all = async {
            while offsets.len() < 80 {
                let polled = consumer.poll(100, LIMIT).await.unwrap();
                let bytes: usize = polled
                    .batches
                    .iter()
                    .flat_map(|b| b.records.iter().map(|r| r.record.size()))
                    .sum();
                assert!(bytes <= 300_000);
                offsets.extend(
                    polled
                        .batches
                        .iter()
                        .flat_map(|b| b.records.iter().map(|r| r.offset)),
                );
            }
        };
        tokio::time::timeout(LIMIT, all).await.expect("in time");
        assert_eq!(offsets, (0..80).collect::<Vec<u64>>());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_that_works_for_long_keeps_its_partitions() {
    let mut config = super::config();
    config.watchdog_ms = 400;
    let subject = Reconnected::with(config).await;
    let tp = topic(&subject, TopicSpec::disk("t", 1)).await;
    send(&subject, &tp, 0..40).await;
    let group = ConsumerConfig::group("g", [tp.topic.clone()]);
    let mut consumer = subject.kafka().consumer(group).await.unwrap();
    let mut values = Vec::new();
    while values.len() < 40 {
        // Everything in hand goes to the caller, the rest waits in the client.
        let poll = consumer.poll(10, LIMIT).await.unwrap();
        assert!(poll.revoked.is_empty(), "after {values:?}");
        for record in poll.batches.iter().flat_map(|batch| &batch.records) {
            values.push(record.offset);
        }
        tokio::time::sleep(Duration::from_millis(900)).await;
    }
    assert_eq!(values, (0..40).collect::<Vec<_>>());
}

/// On one thread: the recorder is this thread's.
#[tokio::test]
async fn a_reader_whose_client_is_replaced_goes_on_where_it_was() {
    let mut config = super::config();
    // After a change of position the broker holds a fetch from the old one back for longer than the watchdog waits.
    (config.fetch_wait_ms, config.watchdog_ms) = (3_000, 200);
    let subject = Reconnected::with(config).await;
    let tp = topic(&subject, TopicSpec::disk("t", 1)).await;
    let (mut consumer, at) = mq::tail(subject.kafka(), [tp.topic.clone()]).await.unwrap();
    assert_eq!(at.len(), 1);
    let recorder = PrometheusBuilder::new().build_recorder();
    let _guard = metrics::set_default_local_recorder(&recorder);
    for first in (0..50).step_by(10) {
        send(&subject, &tp, first..first + 10).await;
        assert_eq!(
            take(&mut consumer, 10).await,
            ((first..first + 10).collect(), 0)
        );
        let idle = consumer.poll(1, Duration::from_millis(100)).await.unwrap();
        assert!(idle.batches.is_empty());
        let offset = first as u64 + 5;
        let back = Progress {
            tp: tp.clone(),
            offset,
        };
        consumer.seek(&[back]).unwrap();
        assert_eq!(
            take(&mut consumer, 5).await,
            ((first + 5..first + 10).collect(), 0)
        );
    }
    let counted = recorder.handle().render();
    let replaced = counted.contains("gochat_kafka_consumer_rebuilds_total ");
    assert!(replaced, "the test shows nothing: {counted}");
}
