"""What no schema tells: whether the deployment files agree with each other and with the code.

Each function is one fact; it fails by an assertion that says what is wrong.
"""
import json
import pathlib
import re
import subprocess
import sys

import yaml

DEPLOY = pathlib.Path(__file__).resolve().parent.parent
ROOT = DEPLOY.parent
SERVICES = ["im-gateway", "im-logic", "im-repo", "im-task"]


def compose():
    files = {n: yaml.safe_load((DEPLOY / "compose" / f"{n}.yml").read_text())
             for n in ("infrastructure", "monitoring", "applications")}
    services = {}
    for model in files.values():
        services.update(model["services"])
    return files, services


def manifests():
    found = []
    for path in sorted((DEPLOY / "k8s").glob("*.yaml")):
        if path.stem not in ("kustomization", "prometheus-adapter.values"):
            found += [d for d in yaml.safe_load_all(path.read_text()) if d]
    return found


def dashboards():
    return [json.loads(p.read_text()) for p in sorted((DEPLOY / "grafana/dashboards").rglob("*.json"))]


def expressions():
    """Every PromQL expression, with Grafana's variables replaced."""
    for board in dashboards():
        for panel in board["panels"]:
            for target in panel["targets"]:
                if target["datasource"]["type"] == "prometheus":
                    yield board["uid"], target["expr"].replace("$__rate_interval", "5m")


def compose_files_share_one_project_and_one_network():
    files, _ = compose()
    assert {m["name"] for m in files.values()} == {"gochat"}
    assert {m["networks"]["default"]["name"] for m in files.values()} == {"gochat"}
    for model in files.values():
        for name, service in model["services"].items():
            assert "networks" not in service, f"{name} leaves the common network"


def compose_mounts_exist():
    _, services = compose()
    for name, service in services.items():
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            if source.startswith("."):
                assert (DEPLOY / "compose" / source).exists(), f"{name}: {source} is not there"


def compose_dependencies_and_addresses_are_services():
    _, services = compose()
    for name, service in services.items():
        for other in service.get("depends_on", {}):
            assert other in services, f"{name} waits for {other}"
    for name in SERVICES:
        env = services[name]["environment"]
        for endpoint in env["COORD_ETCD_ENDPOINTS"].split(","):
            host, port = endpoint.removeprefix("http://").split(":")
            assert host in services and port == "2379", f"{name}: {endpoint}"
        for broker in env["KAFKA_BROKERS"].split(","):
            host, port = broker.split(":")
            assert f"INTERNAL://{broker}" in services[host]["environment"]["KAFKA_ADVERTISED_LISTENERS"], broker
            assert port == "9092"


def compose_ports_on_the_host_are_unique_and_on_loopback():
    _, services = compose()
    seen = {}
    for name, service in services.items():
        for port in service.get("ports", []):
            address, host, _ = re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", port).split(":")
            assert address == "127.0.0.1", f"{name}: {port}"
            assert seen.setdefault(host, name) == name, f"{host}: {name} and {seen[host]}"


def every_compose_service_has_a_health_check_or_needs_none():
    _, services = compose()
    without = {n for n, s in services.items() if "healthcheck" not in s}
    assert without == {"node-exporter", "promtail"}, without


def compose_secrets_come_from_the_environment():
    text = (DEPLOY / "compose/applications.yml").read_text()
    assert "JWT_SECRET: ${JWT_SECRET:?" in text
    example = dict(line.split("=", 1) for line in (DEPLOY / "compose/.env.example").read_text().splitlines()
                   if line and not line.startswith("#"))
    used = set(re.findall(r"(?<!\$)\$\{(\w+)", "".join(p.read_text() for p in (DEPLOY / "compose").glob("*.yml"))))
    assert used == set(example), f"only in one of files and .env.example: {used ^ set(example)}"
    assert example["JWT_SECRET"] == ""


def prometheus_scrapes_services_on_ports_they_expose():
    _, services = compose()
    config = yaml.safe_load((DEPLOY / "prometheus/prometheus.yml").read_text())
    for job in config["scrape_configs"]:
        for found in job.get("dns_sd_configs", []):
            for name in found["names"]:
                assert name in services, name
                if name in SERVICES:
                    assert str(found["port"]) in services[name]["expose"], f"{name}: {found['port']}"
    assert set(SERVICES) <= {j["job_name"] for j in config["scrape_configs"]}


def metrics_of_rules_and_dashboards_exist_in_the_code():
    sources = "".join(p.read_text() for folder in ("services", "gochat-infra", "gochat-core")
                      for p in (ROOT / folder).rglob("*.rs"))
    defined = set(re.findall(r'"((?:gochat|http|grpc|world)_[a-z_]+)"', sources))
    text = "".join(p.read_text() for p in (DEPLOY / "prometheus/rules").glob("*.yml"))
    text += "\n".join(expr for _, expr in expressions())
    used = {re.sub(r"_bucket$", "", m)
            for m in re.findall(r"\b((?:gochat|http|grpc|world)_[a-z_]+)\b(?!-)", text)}
    used -= {"grpc_code", "grpc_method", "grpc_service"}  # labels
    assert used <= defined, f"nobody exports {sorted(used - defined)}"


def dashboard_expressions_parse():
    rules = [{"record": f"r{i}", "expr": expr} for i, (_, expr) in enumerate(expressions())]
    path = pathlib.Path(sys.argv[1]) / "dashboards.rules.yml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "dashboards", "rules": rules}]}))
    done = subprocess.run(["promtool", "check", "rules", path], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def dashboards_have_their_own_ids_and_known_sources():
    boards = dashboards()
    assert len({b["uid"] for b in boards}) == len(boards)
    sources = yaml.safe_load((DEPLOY / "grafana/provisioning/datasources/gochat.yml").read_text())["datasources"]
    known = {s["uid"] for s in sources}
    for board in boards:
        for panel in board["panels"]:
            assert panel["datasource"]["uid"] in known
            place = panel["gridPos"]
            assert place["x"] + place["w"] <= 24, f"{board['uid']}: {panel['title']} hangs over"
    providers = yaml.safe_load((DEPLOY / "grafana/provisioning/dashboards/gochat.yml").read_text())["providers"]
    for provider in providers:
        folder = pathlib.Path(provider["options"]["path"]).name
        assert list((DEPLOY / "grafana/dashboards" / folder).glob("*.json")), f"{folder} is empty"


def kubernetes_pods_are_not_root_and_drain():
    for deployment in (m for m in manifests() if m["kind"] == "Deployment"):
        name, pod = deployment["metadata"]["name"], deployment["spec"]["template"]["spec"]
        container = pod["containers"][0]
        assert pod["securityContext"]["runAsNonRoot"] is True, name
        assert container["securityContext"]["readOnlyRootFilesystem"] is True, name
        assert container["lifecycle"]["preStop"], name
        assert pod["terminationGracePeriodSeconds"] >= 30, name


def kubernetes_names_and_ports_agree():
    found = manifests()
    deployments = {m["metadata"]["name"]: m for m in found if m["kind"] == "Deployment"}
    assert sorted(deployments) == SERVICES
    for name, deployment in deployments.items():
        template = deployment["spec"]["template"]
        labels, ports = template["metadata"]["labels"], template["spec"]["containers"][0]["ports"]
        wanted = deployment["spec"]["selector"]["matchLabels"]
        assert wanted.items() <= labels.items(), name
        names = {p["name"]: p["containerPort"] for p in ports}
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            port = template["spec"]["containers"][0][probe]["httpGet"]["port"]
            assert port in names, f"{name}: {probe} asks port {port}"
        assert int(template["metadata"]["annotations"]["prometheus.io/port"]) in names.values(), name
    for other in found:
        if other["kind"] in ("Service", "PodDisruptionBudget"):
            selector = other["spec"]["selector"]
            selector = selector.get("matchLabels", selector)
            assert selector["app.kubernetes.io/name"] in deployments, other["metadata"]["name"]
        if other["kind"] == "HorizontalPodAutoscaler":
            assert other["spec"]["scaleTargetRef"]["name"] in deployments


def kubernetes_examples_hold_no_secret():
    for secret in (m for m in manifests() if m["kind"] == "Secret"):
        assert not any(secret["stringData"].values()), "fill in a copy, not the example"


def environment_variables_are_known_to_the_services():
    sources = "".join(p.read_text() for folder in ("services", "gochat-infra")
                      for p in (ROOT / folder).rglob("*.rs"))
    _, services = compose()
    used = {key for name in SERVICES for key in services[name]["environment"]}
    for manifest in manifests():
        used |= set(manifest.get("data", {})) | set(manifest.get("stringData", {}))
    unknown = {k for k in used if not k.startswith("GOCHAT_") and f'"{k}"' not in sources}
    assert not unknown, f"no service reads {sorted(unknown)}"


def main():
    bad = 0
    for name, fact in list(globals().items()):
        if callable(fact) and getattr(fact, "__module__", "") == "__main__" and "_" in name:
            try:
                fact()
                print("ok     ", name.replace("_", " "))
            except Exception as wrong:  # a file that can't be read is a failed fact too
                bad += 1
                print("FAILED ", name.replace("_", " "), "\n       ", repr(wrong))
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
