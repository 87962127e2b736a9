# shellcheck shell=bash
# Redis: may lose everything at any time, so nothing is written to disk. All keys have a time limit; a full
# server refuses new ones rather than forget a claim or a session before its time.

prepare_redis() { mkdir -p "$DATA/redis"; }

start_redis() {
    spawn redis redis-server --bind 127.0.0.1 --port "$REDIS_PORT" --dir "$DATA/redis" --daemonize no \
        --save '' --appendonly no --maxmemory "$REDIS_MAXMEMORY" --maxmemory-policy noeviction --set-proc-title no
}

probe_redis() {
    local answer
    answer=$(timeout 3 redis-cli -h 127.0.0.1 -p "$REDIS_PORT" PING 2>&1) || true
    printf '%s\n' "$answer" >"$RUN/redis.probe"
    [ "$answer" = PONG ]
}
stop_redis() { end_process redis TERM; }
port_redis() { echo "$REDIS_PORT"; }
