# shellcheck shell=bash
# What each command does. Starts and stops of one server take turns; kill, pause and resume never wait.

with_lock() {
    local name=$1
    shift
    (
        exec 9>"$RUN/$name.lock"
        flock 9
        "$@"
    )
}

start_locked() {
    local name=$1 began=$SECONDS pid port
    if pid=$(pid_of "$name"); then
        kill -s CONT "$pid" 2>/dev/null || true
        wait_healthy "$name" || return 1
        say "$name is running (pid $pid, port $("port_$name"))"
        return 0
    fi
    for port in "$("port_$name")" $("inner_port_$name" 2>/dev/null); do
        if ! wait_port_free "$port"; then
            say "$name: port $port is taken by a process that infra did not start"
            return 1
        fi
    done
    if ! "prepare_$name"; then
        show_log "$name"
        say "$name: its data folder could not be prepared"
        return 1
    fi
    "start_$name"
    wait_healthy "$name" || return 1
    say "$name answers on port $("port_$name") after $((SECONDS - began)) s (pid $(pid_of "$name"))"
}

stop_locked() {
    pid_of "$1" >/dev/null || { say "$1 is not running"; return 0; }
    "stop_$1"
    say "$1 stopped"
}

# Starts the named servers at once; fails when any of them fails.
start_all() {
    local name failed=() waiting=()
    for name in "$@"; do
        with_lock "$name" start_locked "$name" &
        waiting+=("$name:$!")
    done
    for name in "${waiting[@]}"; do
        wait "${name#*:}" || failed+=("${name%%:*}")
    done
    ((${#failed[@]} == 0)) || { say "failed: ${failed[*]}"; return 1; }
}

stop_all() {
    local name status=0
    for name in "$@"; do with_lock "$name" stop_locked "$name" & done
    for name in $(jobs -p); do wait "$name" || status=1; done
    return $status
}

cmd_up() {
    ensure_installed
    echo packages >"$RUN/backend"
    start_all "${SERVERS[@]}" || die "not all servers are up; see above, and $LOG"
    say "all servers are up; 'make infra-down' stops them"
}
cmd_down() {
    stop_all "${SERVERS[@]}"
    rm -f "$RUN/backend"
}
cmd_start() { ensure_installed; with_lock "$1" start_locked "$1"; }
cmd_stop() { with_lock "$1" stop_locked "$1"; }
cmd_logs() { tail -n "${LINES_SHOWN:-100}" "$LOG/$1.log"; }

cmd_wipe() {
    cmd_down
    rm -rf "$DATA"
    say "the data in $DATA is deleted"
}

signal() {
    local name=$1 signal=$2 pid
    pid=$(pid_of "$name") || die "$name is not running"
    kill -s "$signal" "$pid"
}
cmd_pause() { signal "$1" STOP; }
cmd_resume() { signal "$1" CONT; }

# Returns when the process is gone. A server that is already dead is what was asked for.
cmd_kill() {
    local pid
    pid=$(pid_of "$1") || return 0
    kill -s KILL "$pid" 2>/dev/null || true
    while pid_of "$1" >/dev/null; do sleep 0.02; done
}

cmd_status() {
    local name state status=0 pid
    for name in "${SERVERS[@]}"; do
        pid=$(pid_of "$name") || pid=-
        if [ "$pid" = - ]; then state=stopped
        elif is_paused "$name"; then state=paused
        elif "probe_$name"; then state=up
        else state="not answering: $(tr '\n' ' ' <"$RUN/$name.probe")"
        fi
        [ "$state" = up ] || status=1
        printf '%-6s port %-6s pid %-8s %s\n' "$name" "$("port_$name")" "$pid" "$state"
    done
    return $status
}

# First what tests read, then what services and the operator's tools read.
cmd_env() {
    cat <<ENV
export GOCHAT_TEST_KAFKA=127.0.0.1:$KAFKA_PORT
export GOCHAT_TEST_MYSQL=mysql://$DB_USER:$DB_PASSWORD@127.0.0.1:$MYSQL_PORT
export GOCHAT_TEST_REDIS=redis://127.0.0.1:$REDIS_PORT
export GOCHAT_TEST_ETCD=http://127.0.0.1:$ETCD_PORT
export COORD_ETCD_ENDPOINTS=http://127.0.0.1:$ETCD_PORT
export KAFKA_BROKERS=127.0.0.1:$KAFKA_PORT
export KAFKA_REPLICATION_FACTOR=$([ "$(backend)" = compose ] && echo 3 || echo 1)
export DB_HOST=127.0.0.1
export DB_PORT=$MYSQL_PORT
export DB_USER=$DB_USER
export DB_PASSWORD=$DB_PASSWORD
export DB_NAME=$DB_NAME
export REDIS_HOST=127.0.0.1
export REDIS_PORT=$REDIS_PORT
export REDIS_ADDR=127.0.0.1:$REDIS_PORT
ENV
}

# A server that the caller points to by GOCHAT_TEST_* is the caller's own: it is left alone.
cmd_run() {
    local name chosen started=() status=0
    for name in "${SERVERS[@]}"; do
        chosen=GOCHAT_TEST_${name^^}
        [ -n "${!chosen:-}" ] || pid_of "$name" >/dev/null || started+=("$name")
    done
    if ((${#started[@]})); then
        ensure_installed
        trap 'stop_all "${started[@]}" 2>/dev/null' EXIT
        start_all "${started[@]}" || die "not all servers are up; see above, and $LOG"
    fi
    (
        for name in "${SERVERS[@]}"; do
            chosen=GOCHAT_TEST_${name^^}
            [ -n "${!chosen:-}" ] || eval "$(cmd_env | grep "^export $chosen=")"
        done
        exec "$@"
    ) || status=$?
    exit $status
}
