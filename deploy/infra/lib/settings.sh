# shellcheck shell=bash disable=SC2034
# Where things are. Every value can be set from outside, so several sets of servers can run at once.
SERVERS=(kafka mysql redis etcd)

ROOT=$(cd "$INFRA_HOME/../.." && pwd)
# The system's own when there is one: version managers' wrappers take many times the start of Python itself.
PYTHON=/usr/bin/python3
[ -x "$PYTHON" ] || PYTHON=python3
DIR=${GOCHAT_INFRA_DIR:-$ROOT/.infra}
mkdir -p "$DIR"
DIR=$(cd "$DIR" && pwd)
DATA=$DIR/data RUN=$DIR/run LOG=$DIR/log
JARS=${GOCHAT_INFRA_JARS:-$ROOT/.infra/jars}
mkdir -p "$DATA" "$RUN" "$LOG"

KAFKA_PORT=${GOCHAT_INFRA_KAFKA_PORT:-9092}
# Far off the usual 9093, which is the gateway's metrics port.
KAFKA_CONTROLLER_PORT=${GOCHAT_INFRA_KAFKA_CONTROLLER_PORT:-$((KAFKA_PORT > 20000 ? KAFKA_PORT - 8000 : KAFKA_PORT + 8000))}
KAFKA_HEAP=${GOCHAT_INFRA_KAFKA_HEAP:-768m}
# A broker that is killed again and again spends its life compiling: the checker asks for the quick compiler.
KAFKA_JVM=${GOCHAT_INFRA_KAFKA_JVM:--XX:+UseG1GC -XX:MaxGCPauseMillis=20}
MYSQL_PORT=${GOCHAT_INFRA_MYSQL_PORT:-3306}
MYSQL_BUFFER_POOL=${GOCHAT_INFRA_MYSQL_BUFFER_POOL:-512M}
REDIS_PORT=${GOCHAT_INFRA_REDIS_PORT:-6379}
REDIS_MAXMEMORY=${GOCHAT_INFRA_REDIS_MAXMEMORY:-512mb}
ETCD_PORT=${GOCHAT_INFRA_ETCD_PORT:-2379}
ETCD_PEER_PORT=${GOCHAT_INFRA_ETCD_PEER_PORT:-$((ETCD_PORT + 1))}

# Known to everybody: these servers listen on loopback only and hold test data.
DB_USER=gochat DB_PASSWORD=gochat_pass_2024 DB_NAME=gochat_dev

# Seconds that a server may take to answer after a start, and to end after a stop.
START_TIMEOUT=${GOCHAT_INFRA_START_TIMEOUT:-60}
STOP_TIMEOUT=${GOCHAT_INFRA_STOP_TIMEOUT:-20}
