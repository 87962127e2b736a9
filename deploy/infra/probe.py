#!/usr/bin/env python3
"""Does a server on loopback really serve? `probe.py kafka|etcd|http PORT`: exit 0, or 1 with the reason.

Kafka: it names a live broker and controller, and coordinators for groups and for transactions are
found, so a client that comes next finds everything it needs. etcd: its health page says so. http: `/health` answers 200.
"""
import json
import socket
import struct
import sys
import urllib.request

TIMEOUT = 3


def call(sock, api, version, body):
    """One Kafka request with a version-1 header; returns the answer without its correlation id."""
    client = b"infra-probe"
    request = struct.pack(">hhih", api, version, 1, len(client)) + client + body
    sock.sendall(struct.pack(">i", len(request)) + request)
    size = struct.unpack(">i", exactly(sock, 4))[0]
    return exactly(sock, size)[4:]


def exactly(sock, count):
    data = b""
    while len(data) < count:
        part = sock.recv(count - len(data))
        if not part:
            raise OSError("the connection was closed")
        data += part
    return data


def kafka(port):
    with socket.create_connection(("127.0.0.1", port), TIMEOUT) as sock:
        sock.settimeout(TIMEOUT)
        # Metadata v4 for no topic at all: throttle time, brokers, ...
        brokers = struct.unpack(">ii", call(sock, 3, 4, struct.pack(">ib", 0, 0))[:8])[1]
        if brokers < 1:
            raise OSError("no broker is registered yet")
        for kind, key_type in (("group", 0), ("transaction", 1)):
            key = b"infra-probe"
            answer = call(sock, 10, 1, struct.pack(">h", len(key)) + key + struct.pack(">b", key_type))
            error = struct.unpack(">ih", answer[:6])[1]
            if error:
                raise OSError(f"the {kind} coordinator is not ready (error {error})")


def etcd(port):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=TIMEOUT) as answer:
        if json.load(answer).get("health") != "true":
            raise OSError("etcd says that it is not healthy")


def http(port):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=TIMEOUT):
        pass


if __name__ == "__main__":
    try:
        {"kafka": kafka, "etcd": etcd, "http": http}[sys.argv[1]](int(sys.argv[2]))
    except OSError as reason:
        sys.exit(str(reason))
