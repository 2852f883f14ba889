"""Settings: what is taken, what is refused, and that a refusal names the setting and shows nothing of its value."""

from pathlib import Path

import pytest

from gateway.domain.errors import ConfigError
from gateway.settings import Settings, read_settings


@pytest.fixture(autouse=True)
def nothing_around(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No settings of the machine, and no `.env`."""
    for field in Settings.model_fields.values():
        monkeypatch.delenv(str(field.validation_alias), raising=False)
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("GATEWAY_NONSENSE", "", "There is no setting GATEWAY_NONSENSE."),
        ("GATEWAY_", "1", "There is no setting GATEWAY_."),
        ("GATEWAY_PORT", "70000", "GATEWAY_PORT"),
        ("GATEWAY_PORT", "-1", "GATEWAY_PORT"),
        ("GATEWAY_PORT", "80.5", "GATEWAY_PORT"),
        ("GATEWAY_WORKERS", "0", "GATEWAY_WORKERS"),
        ("GATEWAY_WORKERS", "many", "GATEWAY_WORKERS"),
        ("GATEWAY_PUBLIC_URL", "shop.example", "GATEWAY_PUBLIC_URL must be an address like"),
        ("GATEWAY_PUBLIC_URL", "ftp://shop.example", "GATEWAY_PUBLIC_URL must be an address like"),
        ("GATEWAY_PUBLIC_URL", "https://[shop", "GATEWAY_PUBLIC_URL"),
        ("GATEWAY_TIMEZONE", "Mars/Olympus", "GATEWAY_TIMEZONE must be a name like"),
        ("GATEWAY_TIMEZONE", "/etc/passwd", "GATEWAY_TIMEZONE must be a name like"),
        ("GATEWAY_PROBE_S", "-1", "GATEWAY_PROBE_S"),
        ("GATEWAY_PROBE_S", "often", "GATEWAY_PROBE_S"),
        ("GATEWAY_PROBE_S", "nan", "GATEWAY_PROBE_S"),
        ("GATEWAY_LINK_POLL_S", "0", "GATEWAY_LINK_POLL_S"),
        ("GATEWAY_LINK_IDLE_S", "0", "GATEWAY_LINK_IDLE_S"),
        ("GATEWAY_LINK_MAX_S", "inf", "GATEWAY_LINK_MAX_S"),
        ("GATEWAY_EMBEDDED", "perhaps", "GATEWAY_EMBEDDED"),
        ("GATEWAY_SIMULATOR", "2", "GATEWAY_SIMULATOR"),
        ("GATEWAY_MAX_CONNECTIONS", "0", "GATEWAY_MAX_CONNECTIONS"),
        ("GATEWAY_ALLOWED_ORIGINS", "shop.example", "GATEWAY_ALLOWED_ORIGINS"),
        ("GATEWAY_ALLOWED_ORIGINS", "https://shop.example/pos", "GATEWAY_ALLOWED_ORIGINS"),
        ("GATEWAY_ALLOWED_ORIGINS", "*", "GATEWAY_ALLOWED_ORIGINS"),
        ("GATEWAY_PUBLIC_URL", "https://shop.example?shop=1", "GATEWAY_PUBLIC_URL"),
        ("DATABASE_URL", "mysql://shop@127.0.0.1/shop", "DATABASE_URL must look like postgresql://"),
        ("DATABASE_URL", "shop", "DATABASE_URL must look like postgresql://"),
        ("DATABASE_URL", "postgresql://shop@127.0.0.1:port/shop", "DATABASE_URL must look like"),
        ("DATABASE_URL", "postgresql://shop@[::1/shop", "DATABASE_URL must look like"),
        ("DATABASE_URL", "postgresql://shop:pa@ss:word@127.0.0.1:1/shop", "in a password written as %40"),
        ("GATEWAY_LISTEN_URL", "http://127.0.0.1/shop", "GATEWAY_LISTEN_URL must look like postgresql://"),
    ],
)
def test_a_setting_that_cannot_be_meant_is_named(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, expected: str
) -> None:
    monkeypatch.setenv(name, value)

    with pytest.raises(ConfigError) as refusal:
        read_settings()

    assert expected in refusal.value.message
    assert "\n" not in refusal.value.message


def test_nothing_of_a_refused_database_address_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://shop:pa@ss:word@127.0.0.1/shop")

    with pytest.raises(ConfigError) as refusal:
        read_settings()

    assert "ss:word" not in refusal.value.message
    assert refusal.value.__context__ is None or refusal.value.__suppress_context__


@pytest.mark.parametrize(
    "address",
    [
        "postgresql://shop:p%40ss@db.example:5432/shop?sslmode=require",
        "postgres://shop@db.example/shop",
        "postgresql:///shop?host=/run/postgresql",
        "postgresql://shop@/shop?host=%2Frun%2Fpostgresql&port=5433",
        "postgresql://shop:p@[::1]:5432/shop",
        "postgresql://shop:p@one.example:5432,two.example:5433/shop",
        "postgresql://db.example",
        "  postgresql://shop@db.example/shop\n",
    ],
)
def test_every_way_to_write_a_postgres_address_is_taken(
    monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    monkeypatch.setenv("DATABASE_URL", address)

    assert read_settings().database_url == address.strip()


def test_origins_are_taken_as_browsers_send_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(
        "GATEWAY_ALLOWED_ORIGINS", "https://Shop.example/, http://localhost:3000,http://[::1]:80"
    )

    expected = ("https://shop.example", "http://localhost:3000", "http://[::1]:80")
    assert read_settings().allowed_origins == expected


def test_origins_of_apps_and_of_pages_on_a_disk_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(
        "GATEWAY_ALLOWED_ORIGINS",
        "capacitor://localhost, Ionic://localhost/, file://,null, file:///, chrome-extension://abcdefgh, tauri://localhost",
    )

    assert read_settings().allowed_origins == (
        "capacitor://localhost",
        "ionic://localhost",
        "file://",
        "null",
        "file://",
        "chrome-extension://abcdefgh",
        "tauri://localhost",
    )


@pytest.mark.parametrize(
    "text",
    ["*", "localhost", "https://", "capacitor://", "capacitor:", "wss://shop.example", "https://shop.example/page",
     "file:///home/page.html", "http://[", "https://a@shop.example", "https://*.example", "1app://localhost"],
)  # fmt: skip
def test_what_no_browser_sends_as_an_origin_is_a_mistake(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("GATEWAY_ALLOWED_ORIGINS", f"https://shop.example,{text}")

    with pytest.raises(ConfigError, match="capacitor://localhost"):
        read_settings()


def test_flags_beat_the_environment_and_that_beats_the_env_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / ".env").write_text("GATEWAY_PORT=1\nGATEWAY_HOST=127.0.0.2\nGATEWAY_WORKERS=3\n")
    monkeypatch.setenv("GATEWAY_PORT", "2")
    monkeypatch.setenv("GATEWAY_HOST", "127.0.0.3")

    settings = read_settings(port=4)

    assert (settings.port, settings.host, settings.workers) == (4, "127.0.0.3", 3)


def test_a_private_database_has_no_address_from_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://shop@db.example/shop")
    monkeypatch.setenv("GATEWAY_LISTEN_URL", "postgresql://shop@db.example/shop")

    settings = read_settings(embedded=True)

    assert (settings.database_url, settings.listen_url) == (None, None)


def test_a_printed_settings_object_holds_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GATEWAY_SECRET", "GATEWAY_SUPABASE_JWT_SECRET", "WASENDER_TOKEN"):
        monkeypatch.setenv(name, "do-not-show-this")
    monkeypatch.setenv("DATABASE_URL", "postgresql://shop:do-not-show-this@db.example/shop")

    assert "do-not-show-this" not in repr(read_settings())
