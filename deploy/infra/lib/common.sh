# shellcheck shell=bash
# Messages, and processes that are known by a pid file.

say() { printf '[%4ss] %s\n' "$SECONDS" "$*" >&2; }
die() { printf 'infra: %s\n' "$*" >&2; exit 1; }

check_name() {
    local command=$1 name=${2:-}
    [ $# -eq 2 ] || die "usage: infra $command kafka|mysql|redis|etcd"
    case " ${SERVERS[*]} " in *" $name "*) ;; *) die "no server is called '$name': kafka, mysql, redis or etcd" ;; esac
}

# When a process started, in clock ticks since boot: with it a recycled pid is told from ours.
# The second field may hold spaces and brackets, so fields are counted after the last bracket.
born() {
    local pid=$1 stat
    stat=$(cat "/proc/$pid/stat" 2>/dev/null) || return 1
    # shellcheck disable=SC2086 # split into fields on purpose
    set -- ${stat##*) }
    # A killed process may be a zombie whose other threads still hold its files and ports.
    [ "$1" != Z ] || [ "$(find "/proc/$pid/task" -mindepth 1 -maxdepth 1 2>/dev/null | wc -l)" -gt 1 ] || return 1
    echo "${20}"
}

# The pid of a running server; fails when it isn't running.
pid_of() {
    local pid birth
    { read -r pid && read -r birth; } 2>/dev/null <"$RUN/$1.pid" || return 1
    [ "$(born "$pid")" = "$birth" ] && echo "$pid"
}

is_paused() {
    local pid state
    pid=$(pid_of "$1") || return 1
    state=$(sed -n 's/^State:[[:space:]]*//p' "/proc/$pid/status" 2>/dev/null) || return 1
    [[ $state == T* ]]
}

# Starts a server's command in a session of its own, without the locks this script holds.
spawn() {
    local name=$1 log=$LOG/$1.log pid
    shift
    if [ -f "$log" ] && [ "$(stat -c %s "$log")" -gt 50000000 ]; then mv "$log" "$log.old"; fi
    printf '\n--- %s start\n' "$(date -u +%FT%TZ)" >>"$log"
    setsid "$@" >>"$log" 2>&1 </dev/null 9>&- &
    pid=$!
    printf '%s\n%s\n' "$pid" "$(born "$pid")" >"$RUN/$name.pid.new"
    mv "$RUN/$name.pid.new" "$RUN/$name.pid"
}

show_log() {
    printf '%s\n' "--- the last lines of $LOG/$1.log" >&2
    tail -n "${2:-25}" "$LOG/$1.log" >&2 2>/dev/null || true
    printf '%s\n' '---' >&2
}

port_is_taken() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# Gives a predecessor that was just killed a moment to let go of the port.
wait_port_free() {
    local tries
    for ((tries = 0; tries < 60; tries++)); do
        port_is_taken "$1" || return 0
        sleep 0.05
    done
    return 1
}

# Waits until a server answers; says so now and then, and why not when it never does.
wait_healthy() {
    local name=$1 began=$SECONDS told=$SECONDS
    until "probe_$name"; do
        if ! pid_of "$name" >/dev/null; then
            show_log "$name"
            say "$name ended while it was starting"
            return 1
        fi
        if ((SECONDS - began >= START_TIMEOUT)); then
            show_log "$name"
            say "$name runs but did not answer within $START_TIMEOUT s"
            return 1
        fi
        if ((SECONDS - told >= 5)); then
            told=$SECONDS
            say "$name: still starting ($((SECONDS - began)) s)"
        fi
        sleep 0.1
    done
}

# Sends a signal and waits until the process is gone; SIGKILL when it takes too long.
end_process() {
    local name=$1 signal=$2 pid deadline=$((SECONDS + STOP_TIMEOUT))
    pid=$(pid_of "$name") || return 0
    kill -s "$signal" "$pid" 2>/dev/null || true
    kill -s CONT "$pid" 2>/dev/null || true
    while pid_of "$name" >/dev/null; do
        if ((SECONDS >= deadline)); then
            say "$name did not end within $STOP_TIMEOUT s: killing it"
            kill -s KILL "$pid" 2>/dev/null || true
            deadline=$((SECONDS + STOP_TIMEOUT))
        fi
        sleep 0.05
    done
    rm -f "$RUN/$name.pid"
}
