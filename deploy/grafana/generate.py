#!/usr/bin/env python3
"""Writes the dashboards of this folder: `generate.py` after a change, `generate.py --check` to see whether
they are what this file says. One line here is one panel there."""
import json
import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent / "dashboards"
PROMETHEUS = {"type": "prometheus", "uid": "prometheus"}
LOKI = {"type": "loki", "uid": "loki"}
RATE = "[$__rate_interval]"


def rate(metric, by="", where=""):
    grouping = f" by ({by})" if by else ""
    return f"sum{grouping} (rate({metric}{{{where}}}{RATE}))"


def quantiles(metric, where="", by=""):
    """Median and tail of a histogram in seconds."""
    labels = f"le, {by}" if by else "le"
    legend = f" {{{{{by}}}}}" if by else ""
    inner = f"sum by ({labels}) (rate({metric}_bucket{{{where}}}{RATE}))"
    return [(f"histogram_quantile({q}, {inner})", f"p{str(q)[2:].ljust(2, '0')}{legend}") for q in (0.5, 0.95, 0.99)]


def panel(title, queries, unit="short", kind="timeseries", source=PROMETHEUS, width=12, height=8, options=None):
    """`queries` is one expression, or pairs of expression and legend."""
    if isinstance(queries, str):
        queries = [(queries, "__auto")]
    targets = [
        {"refId": chr(65 + i), "datasource": source, "expr": expr, "legendFormat": legend}
        for i, (expr, legend) in enumerate(queries)
    ]
    return {
        "title": title, "type": kind, "datasource": source, "targets": targets, "options": options or {},
        "fieldConfig": {"defaults": {"unit": unit, "min": 0 if kind == "timeseries" else None}, "overrides": []},
        "gridPos": {"w": width, "h": height},
    }


def stat(title, expr, unit="short"):
    return panel(title, [(expr, title)], unit, "stat", width=6, height=4)


def dashboard(folder, uid, title, panels, refresh="15s", variables=()):
    x = y = row = 0
    for number, each in enumerate(panels, 1):
        place = each["gridPos"]
        if x + place["w"] > 24:
            x, y, row = 0, y + row, 0
        each["id"], place["x"], place["y"] = number, x, y
        x, row = x + place["w"], max(row, place["h"])
    body = {
        "uid": uid, "title": title, "tags": ["gochat"], "timezone": "browser", "schemaVersion": 39, "editable": True,
        "refresh": refresh, "time": {"from": "now-1h", "to": "now"}, "templating": {"list": list(variables)},
        "panels": panels,
    }
    return HERE / folder / f"{uid}.json", json.dumps(body, indent=1) + "\n"


def process(job):
    """What every service has: who is up, what it can use, and its calls."""
    mine = f'job="{job}"'
    return [
        stat("instances up", f"sum(up{{{mine}}})"),
        stat("dependencies away", f"count(gochat_dependency_up{{{mine}}} == 0) or vector(0)"),
        stat("errors by gRPC per second",
             f'sum(rate(grpc_server_handled_total{{{mine}, grpc_code=~"Internal|Unavailable|DeadlineExceeded|Unknown"}}'
             f"{RATE})) or vector(0)"),
        stat("builds running", f"count(count by (version, commit) (gochat_build_info{{{mine}}}))"),
    ]


def grpc(job):
    mine = f'job="{job}"'
    # Calls that stay open until something happens say nothing about how quick the service is.
    timed = mine + ', grpc_method!="AwaitReaders"' if job == "im-repo" else mine
    return [
        panel("gRPC served per second", [(rate("grpc_server_handled_total", "grpc_method, grpc_code", mine),
                                          "{{grpc_method}} {{grpc_code}}")], "reqps"),
        panel("gRPC served, duration", quantiles("grpc_server_handling_seconds", timed), "s"),
        panel("calls made to others per second", [(rate("grpc_client_handled_total", "grpc_service, grpc_code", mine),
                                                   "{{grpc_service}} {{grpc_code}}")], "reqps"),
    ]


def variable(name, query):
    return {"name": name, "label": name, "type": "query", "datasource": LOKI, "query": query, "refresh": 2,
            "includeAll": True, "multi": True, "allValue": ".+", "current": {"text": "All", "value": "$__all"}}


GATEWAY = 'job="im-gateway"'
LOGIC = 'job="im-logic"'
REPO = 'job="im-repo"'
TASK = 'job="im-task"'
LINES = '{service=~"$service", level=~"$level"}'

DASHBOARDS = [
    dashboard("applications", "gochat-gateway", "GoChat gateway", process("im-gateway") + [
        panel("WebSocket connections", [("sum by (instance) (gochat_ws_connections)", "{{instance}}")]),
        panel("users online", [("sum(gochat_online_users)", "users")]),
        panel("connections closed per second", [(rate("gochat_ws_closed_total", "reason"), "{{reason}}")], "ops"),
        panel("HTTP requests per second", [(rate("http_requests_total", "path, status", GATEWAY),
                                            "{{path}} {{status}}")], "reqps"),
        panel("HTTP duration", quantiles("http_request_duration_seconds", GATEWAY), "s"),
        panel("token check, duration", quantiles("gochat_token_validation_duration_seconds"), "s"),
        panel("world chat", [(rate("gochat_message_send_total", where='job="im-logic", type="world"'), "messages")], "ops"),
        panel("world chat, from sequencing to the last socket", quantiles("world_chat_fanout_latency"), "s"),
        panel("frames received per second", [(rate("gochat_ws_frames_received_total", "type"), "{{type}}")], "ops"),
        panel("messages handed to Kafka per second", [
            (rate("gochat_message_send_total", where=GATEWAY), "taken"),
            (rate("gochat_message_send_failures_total", where=GATEWAY), "refused")], "ops"),
        panel("frames to sockets per second", rate("gochat_downstream_delivered_total"), "ops"),
        panel("frames dropped per second", [(rate("gochat_downstream_dropped_total", "reason", GATEWAY),
                                             "{{reason}}")], "ops"),
    ] + grpc("im-gateway")),
    dashboard("applications", "gochat-logic", "GoChat logic", process("im-logic") + [
        panel("messages sequenced per second", [(rate("gochat_message_send_total", "type", LOGIC), "{{type}}")], "ops"),
        panel("messages refused per second", [(rate("gochat_message_send_failures_total", "code", LOGIC),
                                               "{{code}}")], "ops"),
        panel("transaction with Kafka", quantiles("gochat_kafka_transaction_seconds"), "s"),
        panel("steps that failed and are repeated, resends answered", [
            (rate("gochat_logic_steps_failed_total"), "steps failed"),
            (rate("gochat_message_replays_total"), "resends")], "ops"),
        panel("conversation list, duration", quantiles("gochat_conversation_load_duration_seconds"), "s"),
        panel("synchronisation, duration", quantiles("gochat_sync_duration_seconds", by="type"), "s"),
        panel("sign-ins per second", [(rate("gochat_auth_requests_total", "type"), "{{type}}")], "ops"),
        panel("sign-ins refused per second", [(rate("gochat_auth_failures_total", "reason"), "{{reason}}")], "ops"),
    ] + grpc("im-logic")),
    dashboard("applications", "gochat-repo", "GoChat repo", process("im-repo") + [
        panel("cache hits", [('sum(rate(gochat_cache_operations_total{operation="hit"}[$__rate_interval])) / '
                              'sum(rate(gochat_cache_operations_total{operation=~"hit|miss"}[$__rate_interval]))',
                              "share of look-ups")], "percentunit"),
        panel("Redis calls per second", [(rate("gochat_redis_calls_total", "op"), "{{op}}")], "ops"),
        panel("Redis, duration", quantiles("gochat_redis_call_duration_seconds"), "s"),
    ] + grpc("im-repo")),
    dashboard("applications", "gochat-task", "GoChat task", process("im-task") + [
        panel("messages written per second", rate("gochat_messages_persisted_total"), "ops"),
        panel("fan-out, from sequencing to the last page", quantiles("gochat_fanout_latency_seconds", TASK), "s"),
        panel("signals by outcome", [(rate("gochat_signals_total", "type, result"), "{{type}} {{result}}")], "ops"),
        panel("records behind", [("sum by (group) (max by (group, topic, partition) (gochat_kafka_consumer_lag))",
                                  "{{group}}")]),
    ] + grpc("im-task")),
    dashboard("infrastructure", "gochat-kafka", "GoChat Kafka", [
        stat("records behind", "sum(max by (group, topic, partition) (gochat_kafka_consumer_lag))"),
        stat("dead letters in 24 h", "sum(increase(gochat_dlq_total[24h])) or vector(0)"),
        panel("records behind by group and topic",
              [("sum by (group, topic) (max by (group, topic, partition) (gochat_kafka_consumer_lag))",
                "{{group}} {{topic}}")]),
        panel("records per second", [(rate("gochat_kafka_messages_total", "topic, direction, result"),
                                      "{{topic}} {{direction}} {{result}}")], "ops"),
        panel("transactions", quantiles("gochat_kafka_transaction_seconds"), "s"),
        panel("connections made and lost", [(rate("gochat_kafka_connection_changes_total"), "changes"),
                                            (rate("gochat_kafka_producer_rebuilds_total"), "producers rebuilt")], "ops"),
        panel("dead letters", [("sum by (topic) (gochat_dlq_total)", "{{topic}}")]),
    ]),
    dashboard("infrastructure", "gochat-hosts", "GoChat hosts", [
        panel("CPU", [('1 - avg by (instance) (rate(node_cpu_seconds_total{mode="idle"}[$__rate_interval]))',
                       "{{instance}}")], "percentunit"),
        panel("memory in use", [("1 - node_memory_MemAvailable_bytes / node_memory_MemTotal_bytes", "{{instance}}")],
              "percentunit"),
        panel("disk free", [('node_filesystem_avail_bytes{fstype!~"tmpfs|ramfs|overlay|squashfs"} / '
                             'node_filesystem_size_bytes{fstype!~"tmpfs|ramfs|overlay|squashfs"}',
                             "{{instance}} {{mountpoint}}")], "percentunit"),
        panel("network", [("sum by (instance) (rate(node_network_transmit_bytes_total[$__rate_interval]))",
                           "out {{instance}}"),
                          ("sum by (instance) (rate(node_network_receive_bytes_total[$__rate_interval]))",
                           "in {{instance}}")], "Bps"),
    ]),
    dashboard("logs", "gochat-logs-overview", "GoChat log overview", [
        panel("log volume by service", [("sum by (service) (count_over_time(" + LINES + "[5m]))", "{{service}}")],
              kind="piechart", source=LOKI),
        panel("level distribution", [("sum by (level) (count_over_time(" + LINES + "[5m]))", "{{level}}")],
              kind="piechart", source=LOKI),
        panel("live log stream", [(LINES, "")], kind="logs", source=LOKI, width=24, height=12,
              options={"showTime": True, "sortOrder": "Descending", "wrapLogMessage": True, "enableLogDetails": True}),
        panel("lines per second by service", [("sum by (service) (rate(" + LINES + "[1m]))", "{{service}}")],
              source=LOKI, width=24),
    ], refresh="5s", variables=[variable("service", "label_values(service)"), variable("level", "label_values(level)")]),
]

if __name__ == "__main__":
    stale = [path for path, text in DASHBOARDS if not path.exists() or path.read_text() != text]
    if sys.argv[1:] == ["--check"]:
        sys.exit(f"run deploy/grafana/generate.py: out of date: {[p.name for p in stale]}" if stale else 0)
    for path, text in DASHBOARDS:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
