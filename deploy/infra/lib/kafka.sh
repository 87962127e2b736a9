# shellcheck shell=bash
# Apache Kafka: one broker that is its own controller (KRaft). An acknowledged record is in the page
# cache, which a SIGKILL of the broker leaves alone.

kafka_java() {
    java -Xmx256m -Dgochat.log.level=ERROR -Dlog4j2.configurationFile="$INFRA_HOME/log4j2.xml" -cp "$(jar_dir)/*" "$@"
}

# Small internal topics start quickly; short timeouts let a test see a takeover within seconds. After
# a SIGKILL the broker may register again only when the session of its former self is over.
# Offsets are loaded in small reads, and their log is kept short: see "Kafka's coordinator" in docs/operations.md.
kafka_config() {
    cat <<CONFIG
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:$KAFKA_CONTROLLER_PORT
listeners=PLAINTEXT://127.0.0.1:$KAFKA_PORT,CONTROLLER://127.0.0.1:$KAFKA_CONTROLLER_PORT
advertised.listeners=PLAINTEXT://127.0.0.1:$KAFKA_PORT
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
controller.listener.names=CONTROLLER
log.dirs=$DATA/kafka
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
auto.create.topics.enable=false
default.replication.factor=1
min.insync.replicas=1
offsets.topic.replication.factor=1
offsets.topic.num.partitions=8
offsets.load.buffer.size=65536
offsets.topic.segment.bytes=1048576
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=8
transaction.max.timeout.ms=900000
transaction.abort.timed.out.transaction.cleanup.interval.ms=1000
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
group.consumer.min.session.timeout.ms=1000
group.consumer.min.heartbeat.interval.ms=300
num.network.threads=3
num.io.threads=4
num.recovery.threads.per.data.dir=4
log.segment.bytes=134217728
log.index.size.max.bytes=1048576
log.retention.hours=72
CONFIG
}

prepare_kafka() {
    kafka_config >"$RUN/kafka.properties"
    [ ! -f "$DATA/kafka/meta.properties" ] || return 0
    rm -rf "$DATA/kafka"
    # A fixed cluster id: clients that outlive a wipe meet the cluster they know.
    kafka_java kafka.tools.StorageTool format -t Z29jaGF0LWRldi1rYWZrYQ -c "$RUN/kafka.properties" \
        >>"$LOG/kafka.log" 2>&1
}

start_kafka() {
    # shellcheck disable=SC2086 # several options
    spawn kafka java -Xms256m -Xmx"$KAFKA_HEAP" $KAFKA_JVM -XX:+ExitOnOutOfMemoryError \
        -Djava.awt.headless=true -Dlog4j2.configurationFile="$INFRA_HOME/log4j2.xml" \
        -cp "$(jar_dir)/*" kafka.Kafka "$RUN/kafka.properties"
}

probe_kafka() { "$PYTHON" -S "$INFRA_HOME/probe.py" kafka "$KAFKA_PORT" 2>"$RUN/kafka.probe"; }
stop_kafka() { end_process kafka TERM; }
port_kafka() { echo "$KAFKA_PORT"; }
inner_port_kafka() { echo "$KAFKA_CONTROLLER_PORT"; }

# Kafka's own command line tools, pointed at this broker.
kafka_tool() {
    local tool=$1 class
    shift
    case $tool in
        topics) class=TopicCommand ;;
        groups) class=consumer.group.ConsumerGroupCommand ;;
        configs) class=kafka.admin.ConfigCommand ;;
        transactions) class=TransactionsCommand ;;
        produce) class=ConsoleProducer ;;
        consume) class=consumer.ConsoleConsumer ;;
        *) die "kafka tools: topics, groups, configs, transactions, produce, consume" ;;
    esac
    [[ $class == kafka.* ]] || class=org.apache.kafka.tools.$class
    kafka_java "$class" --bootstrap-server "127.0.0.1:$KAFKA_PORT" "$@"
}
