"""Alert rules and dashboard: Prometheus takes them, they ask for metrics that there are, and each rule is explained."""

import json
import re
import shutil
import subprocess

import pytest

from tests.docs.pages import ROOT, names, section, table

DEPLOY = ROOT / "deploy"
RULES = DEPLOY / "prometheus-alerts.yml"
DASHBOARD = DEPLOY / "grafana-dashboard.json"

needs_promtool = pytest.mark.skipif(
    shutil.which("promtool") is None, reason="promtool is not installed: apt-get install prometheus"
)


@needs_promtool
@pytest.mark.parametrize(
    "command", [("check", "rules", RULES.name), ("test", "rules", "prometheus-alerts.test.yml")]
)
def test_prometheus_takes_the_rules_and_they_fire_when_they_should(command: tuple[str, ...]) -> None:
    done = subprocess.run(["promtool", *command], cwd=DEPLOY, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr


def test_every_rule_has_its_paragraph_and_no_paragraph_is_of_the_past() -> None:
    rules = re.findall(r"^ +- alert: (\w+)$", RULES.read_text(), re.MULTILINE)
    told = re.findall(
        r"^\*\*`(\w+)`\*\* \((page|ticket)\)\.", section("operations.md", "## Alerts"), re.MULTILINE
    )
    severities = re.findall(r"severity: (page|ticket)", RULES.read_text())

    assert list(zip(rules, severities, strict=True)) == told


def test_rules_and_dashboard_ask_only_for_metrics_that_there_are() -> None:
    known = {re.sub("_total$", "", name) for name in names(table("operations.md", "## Metrics"))}
    expressions = [
        target["expr"]
        for panel in json.loads(DASHBOARD.read_text())["panels"]
        for target in panel.get("targets", ())
    ]
    asked = set(re.findall(r"gateway_\w+", " ".join([*expressions, RULES.read_text()])))

    unknown = {name for name in asked if re.sub("_(total|bucket|count|sum)$", "", name) not in known}
    assert unknown == set()
    assert len(expressions) > 30


@needs_promtool
def test_every_expression_of_the_dashboard_is_one() -> None:
    panels = json.loads(DASHBOARD.read_text())["panels"]
    expressions = [target["expr"] for panel in panels for target in panel.get("targets", ())]
    rules = [
        {"record": f"panel:{number}", "expr": expression.replace("$__rate_interval", "5m")}
        for number, expression in enumerate(expressions)
    ]
    file = json.dumps({"groups": [{"name": "dashboard", "rules": rules}]})
    done = subprocess.run(
        ["promtool", "check", "rules", "/dev/stdin"], input=file, capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stdout + done.stderr
