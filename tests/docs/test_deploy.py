"""The files that an operator starts from name what there is, and are valid where their programs can say so."""

import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from gateway.cli.health import addresses
from gateway.settings import Settings
from tests.docs.pages import ROOT

DEPLOY = ROOT / "deploy"
SETTINGS = {str(field.validation_alias): field.default for field in Settings.model_fields.values()}


def compose() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    return loaded


def test_the_file_of_settings_has_all_of_them_and_their_defaults() -> None:
    listed = re.findall(r"^#([A-Z_0-9]+)=(.*)$", (DEPLOY / "gateway.env").read_text(), re.MULTILINE)
    assert sorted(name for name, _ in listed) == sorted(SETTINGS), (
        "every setting once: python -m tests.docs.env_file"
    )
    for name, text in listed:
        default = SETTINGS[name]
        words = ",".join(default) if isinstance(default, tuple) else str("" if default is None else default)
        assert text == words or float(text) == float(default), name


def test_two_gateways_share_files_and_no_data_folder_behind_caddy() -> None:
    services = compose()["services"]
    assert set(services) == {"postgres", "gateway-1", "gateway-2", "caddy"}
    mounts = [set(services[name]["volumes"]) for name in ("gateway-1", "gateway-2")]
    assert mounts[0] & mounts[1] == {"media:/media"}
    for name in ("gateway-1", "gateway-2"):
        assert services[name]["env_file"] == ".env"
        assert "ports" not in services[name], "only Caddy is reached from outside"
    caddy = (DEPLOY / "Caddyfile").read_text()
    assert "gateway-1:{$GATEWAY_PORT} gateway-2:{$GATEWAY_PORT}" in caddy
    assert services["caddy"]["environment"].keys() == set(re.findall(r"{\$(\w+)}", caddy))


def test_no_password_stands_in_an_address_and_every_name_is_a_setting() -> None:
    text = (ROOT / "docker-compose.yml").read_text()
    assert not re.search(r"://[^\s]*PASSWORD", text), "a password with @ or / would end the address"
    for service in compose()["services"].values():
        for name in service.get("environment", {}):
            assert not name.startswith("GATEWAY_") or name in SETTINGS, f"an error at start: {name}"
    # What `.env` may hold goes to the gateways as it is: a name of ours that is no setting would be an error there.
    assert set(re.findall(r"\${?(GATEWAY_\w+)", text)) <= set(SETTINGS)


def test_the_health_check_of_the_image_asks_at_any_port(tmp_path: Path) -> None:
    dockerfile = (ROOT / "Dockerfile").read_text()
    assert (
        'HEALTHCHECK --interval=10s --timeout=5s --start-period=30s CMD ["python", "-m", "gateway.cli.health"]'
        in dockerfile
    )
    assert list(addresses(None, "0.0.0.0", "9000")) == ["http://127.0.0.1:9000"]
    assert list(addresses(None, "::1", "tcp://10.0.0.1:80")) == ["http://[::1]:8000"]
    (tmp_path / "address").write_text("http://127.0.0.1:9100\n")
    assert list(addresses(str(tmp_path), None, None)) == ["http://127.0.0.1:9100", "http://127.0.0.1:8000"]


@pytest.mark.skipif(shutil.which("caddy") is None, reason="caddy is not installed")
def test_caddy_takes_its_file(tmp_path: Path) -> None:
    env = {
        "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": str(tmp_path),
        "DOMAIN": "localhost",
        "GATEWAY_PORT": "8000",
    }
    checked = subprocess.run(
        ["caddy", "validate", "--config", str(DEPLOY / "Caddyfile"), "--adapter", "caddyfile"],
        env=env, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert checked.returncode == 0, checked.stderr


UNIT = DEPLOY / "whatsapp-gateway.service"


def unit_lines() -> Iterator[tuple[str, str]]:
    for line in UNIT.read_text().splitlines():
        if "=" in line and not line.startswith("#"):
            name, _, value = line.partition("=")
            yield name, value


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
def test_systemd_takes_the_unit_and_finds_it_hardened(tmp_path: Path) -> None:
    program = tmp_path / "gateway"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    unit = tmp_path / UNIT.name
    unit.write_text(UNIT.read_text().replace("/opt/whatsapp-gateway/bin/gateway", str(program)))
    checked = subprocess.run(
        ["systemd-analyze", "verify", str(unit)], capture_output=True, text=True, check=False
    )
    assert (checked.returncode, checked.stderr) == (0, ""), checked

    judged = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--threshold=20", str(unit)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert judged.returncode == 0, judged.stdout


def test_the_unit_waits_to_be_told_and_starts_what_there_is() -> None:
    found = dict(unit_lines())
    assert (found["Type"], found["NotifyAccess"]) == ("notify", "main")
    assert shlex.split(found["ExecStart"]) == ["/opt/whatsapp-gateway/bin/gateway", "serve"]
    assert int(found["WatchdogSec"]) > 0
    name, _, value = found["Environment"].partition("=")
    assert name in SETTINGS
    assert value == found["WorkingDirectory"]
