# shellcheck shell=bash
# etcd: one member, history compacted hourly.

prepare_etcd() { mkdir -p "$DATA/etcd" && chmod 700 "$DATA/etcd"; }

start_etcd() {
    local client=http://127.0.0.1:$ETCD_PORT peer=http://127.0.0.1:$ETCD_PEER_PORT
    spawn etcd env -u ETCD_DATA_DIR etcd --name gochat --data-dir "$DATA/etcd" \
        --listen-client-urls "$client" --advertise-client-urls "$client" \
        --listen-peer-urls "$peer" --initial-advertise-peer-urls "$peer" --initial-cluster "gochat=$peer" \
        --auto-compaction-mode periodic --auto-compaction-retention 1h --quota-backend-bytes 2147483648 \
        --logger zap --log-level warn
}

probe_etcd() { "$PYTHON" -S "$INFRA_HOME/probe.py" etcd "$ETCD_PORT" 2>"$RUN/etcd.probe"; }
stop_etcd() { end_process etcd TERM; }
port_etcd() { echo "$ETCD_PORT"; }
inner_port_etcd() { echo "$ETCD_PEER_PORT"; }
