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
        ("gateway_port", "1", "There is no setting gateway_port. Did you mean GATEWAY_PORT?"),
        ("GATEWAY_PORT", "8000 8001", "GATEWAY_PORT must be a whole number."),
        ("GATEWAY_PORT", "65536", "GATEWAY_PORT must be at most 65535."),
        ("GATEWAY_WORKERS", "9" * 5000, "GATEWAY_WORKERS must be a whole number."),
        ("GATEWAY_EMBEDDED", "'1'", "GATEWAY_EMBEDDED must be 1 or 0."),
        ("GATEWAY_HEADERS_S", "inf", "GATEWAY_HEADERS_S must be a number."),
        ("GATEWAY_HEADERS_S", "1e19", "GATEWAY_HEADERS_S must be at most 86400."),
        ("GATEWAY_HEADERS_S", "0", "GATEWAY_HEADERS_S must be more than 0."),
        ("GATEWAY_BODIES_MIB", "99999999999", "GATEWAY_BODIES_MIB must be at most 1048576."),
        ("GATEWAY_REQUESTS_PER_S", "99999999999", "GATEWAY_REQUESTS_PER_S must be at most 10000000."),
        ("GATEWAY_WEBHOOK_RESERVE_PERCENT", "-1", "GATEWAY_WEBHOOK_RESERVE_PERCENT must be at least 0."),
        ("GATEWAY_WEBHOOK_RESERVE_PERCENT", "100", "GATEWAY_WEBHOOK_RESERVE_PERCENT must be at most 90."),
        ("GATEWAY_PUBLIC_URL", "https://shop.example:99999", "GATEWAY_PUBLIC_URL must be an address like"),
        ("GATEWAY_PUBLIC_URL", "https://ann:pw@shop.example", "GATEWAY_PUBLIC_URL must be an address like"),
        ("GATEWAY_PUBLIC_URL", "https://shop example", "GATEWAY_PUBLIC_URL must be an address like"),
        ("GATEWAY_MEDIA_HOSTS", ",", "GATEWAY_MEDIA_HOSTS must be names of hosts"),
        ("GATEWAY_DATA_DIR", "~nobody-of-that-name/x", "GATEWAY_DATA_DIR names a home folder"),
        ("GATEWAY_SECRET", "one\ntwo", "GATEWAY_SECRET must be one line of text"),
        ("WASENDER_TOKEN", "1|abc\u200b", "WASENDER_TOKEN must be one line of text"),
        ("GATEWAY_HOST", "127.0.0.1\udcff", "GATEWAY_HOST must be one line of text"),
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


@pytest.mark.parametrize("name", ["PORT", "HOST", "SECRET", "WORKERS", "simulator", "Data_Dir"])
def test_variables_of_other_programs_are_no_settings(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    before = read_settings()
    monkeypatch.setenv(name, "1")

    assert read_settings() == before


@pytest.mark.parametrize("blank", ["", " ", "\t \n", "\u00a0"])
def test_blank_counts_as_not_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, blank: str) -> None:
    before = read_settings()
    for field in Settings.model_fields.values():
        monkeypatch.setenv(str(field.validation_alias), blank)
    assert read_settings() == before

    (tmp_path / ".env").write_text("GATEWAY_PORT=81\n")
    assert read_settings().port == 81


def test_space_around_a_value_is_none_of_it_but_for_a_passphrase(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GATEWAY_SECRET", "WASENDER_TOKEN", "GATEWAY_HOST", "GATEWAY_BACKUP_PASSPHRASE"):
        monkeypatch.setenv(name, " a word ")
    monkeypatch.setenv("GATEWAY_DATA_DIR", "~/whatsapp ")

    settings = read_settings()

    assert (settings.secret, settings.wasender_token, settings.host) == ("a word", "a word", "a word")
    assert settings.data_dir == Path.home() / "whatsapp"
    assert settings.backup_passphrase == " a word "


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            "\n# ours\nGATEWAY_PORT=1\nX=1\nGATEWAY_PORT=2\n",
            "GATEWAY_PORT stands twice in .env, in lines 3 and 5",
        ),
        ("\nexport GATEWAY_SIMULATOR\n", "GATEWAY_SIMULATOR has no value in line 2 of .env"),
        ("GATEWAY_SECRET='open\nGATEWAY_PORT=1\n", "The file .env cannot be read from line 1 on"),
        ("X=1\n\nWASENDER_TOKEN 'x'\n", "The file .env cannot be read from line 3 on"),
        (
            'A=1\nGATEWAY_HOST="127.0.0.1\nGATEWAY_PORT=1\nX="\n',
            "The file .env cannot be read from line 2 on",
        ),
        ("gateway_port=1\n", "There is no setting gateway_port. Did you mean GATEWAY_PORT?"),
        ("\ufeffGATEWAY_PORTT=1\n", "There is no setting GATEWAY_PORTT. Did you mean GATEWAY_PORT?"),
    ],
)
def test_an_env_file_that_says_nothing_certain_of_ours_is_refused(
    tmp_path: Path, text: str, says: str
) -> None:
    (tmp_path / ".env").write_text(text, encoding="utf-8")

    with pytest.raises(ConfigError) as refusal:
        read_settings()

    assert says in refusal.value.message
    assert "\n" not in refusal.value.message


def test_an_env_file_may_be_another_programs_too_and_quoted_in_each_way(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(
        b"\xef\xbb\xbfGATEWAY_PORT='81'\r\n= 3\r\n; x\r\nAPP_KEY=1\r\nAPP_KEY=2\r\n"
        b"export GATEWAY_HOST = \"127.0.0.9\" # of this machine\r\nGATEWAY_SECRET='its $a #1'\r\n"
        b'PORT=9\r\n\r\nPEM="-----BEGIN\r\nx\r\n-----END"\r\nGATEWAY_TIMEZONE=\r\n'
    )

    settings = read_settings()

    assert (settings.port, settings.host, settings.timezone) == (81, "127.0.0.9", "UTC")
    assert settings.secret == "its $a #1"


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
