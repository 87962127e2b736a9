# shellcheck shell=bash
# The same servers in containers, where an engine is there: three brokers, three etcd members, MySQL, Redis.

COMPOSE_DIR=$ROOT/deploy/compose

compose() { docker compose --project-directory "$COMPOSE_DIR" -f "$COMPOSE_DIR/infrastructure.yml" "$@"; }
engine_works() { docker compose version >/dev/null 2>&1 && timeout 10 docker info >/dev/null 2>&1; }

# compose or packages: what GOCHAT_INFRA says, else what runs already, else what this machine can do.
# A set in a folder of its own is always from packages: containers are one set, on fixed ports.
backend() {
    case ${GOCHAT_INFRA:-} in
        compose | packages) echo "$GOCHAT_INFRA" ;;
        '') cat "$RUN/backend" 2>/dev/null || if [ -z "${GOCHAT_INFRA_DIR:-}" ] && engine_works; then echo compose; else echo packages; fi ;;
        *) die "GOCHAT_INFRA is compose or packages, not '$GOCHAT_INFRA'" ;;
    esac
}

containers_of() {
    case $1 in
        kafka) echo kafka1 kafka2 kafka3 ;;
        etcd) echo etcd1 etcd2 etcd3 ;;
        *) echo "$1" ;;
    esac
}

# The commands of `infra` in terms of compose; NAME stands for all containers of a kind.
compose_command() {
    local command=$1 name=${2:-} containers=()
    [ -z "$name" ] || read -ra containers < <(containers_of "$name")
    case $command in
        up) compose up -d --build --wait && echo compose >"$RUN/backend" ;;
        down) compose stop && rm -f "$RUN/backend" ;;
        wipe) compose down --volumes && rm -f "$RUN/backend" ;;
        status) compose ps && [ -z "$(compose ps --services --status exited)" ] ;;
        start) compose up -d --wait "${containers[@]}" ;;
        stop) compose stop "${containers[@]}" ;;
        kill) compose kill -s KILL "${containers[@]}" ;;
        pause | resume) compose "${command/resume/unpause}" "${containers[@]}" ;;
        logs) compose logs --tail "${LINES_SHOWN:-100}" "${containers[@]}" ;;
    esac
}

# Starts what isn't up, runs a command, stops what was started.
compose_run() {
    local status=0
    if [ -z "$(compose ps --services --status running)" ]; then
        compose_command up
        trap 'compose_command down 2>/dev/null' EXIT
    fi
    (
        eval "$(cmd_env | grep '^export GOCHAT_TEST_')"
        exec "$@"
    ) || status=$?
    exit $status
}
