"""Where a token may be sent."""

import pytest

from gateway.domain.errors import ConfigError
from gateway.wasender.client import WasenderClient
from gateway.wasender.http_transport import api_root
from tests.unit.wasender.conftest import Tokens


@pytest.mark.parametrize(
    ("given", "root"),
    [
        ("https://www.wasenderapi.com", "https://www.wasenderapi.com/api"),
        ("https://www.wasenderapi.com/", "https://www.wasenderapi.com/api"),
        ("https://www.wasenderapi.com/api", "https://www.wasenderapi.com/api"),
        (" https://www.wasenderapi.com/api// ", "https://www.wasenderapi.com/api"),
        ("https://example.test:8443/simulator", "https://example.test:8443/simulator/api"),
        ("http://127.0.0.1:8000/simulator/api", "http://127.0.0.1:8000/simulator/api"),
        ("http://127.8.9.1", "http://127.8.9.1/api"),
        ("http://localhost:9000", "http://localhost:9000/api"),
        ("http://[::1]:9000/", "http://[::1]:9000/api"),
    ],
)
def test_a_base_url_ends_in_api(given: str, root: str) -> None:
    assert api_root(given) == root


@pytest.mark.parametrize(
    "given",
    [
        "http://www.wasenderapi.com",
        "https://a b",
        "https://a..b",
        "https://.example.test",
        "https://example.test:99999",
        "http://127.0.0.1.example.test",
        "http://localhost.example.test",
        "http://0.0.0.0:80",
        "http://10.0.0.1",
        "http://[::2]",
        "http://127.0.0.1@example.test",
        "https://me:secret@example.test",
        "https://example.test/?next=http://127.0.0.1",
        "https://example.test/#api",
        "ftp://127.0.0.1",
        "www.wasenderapi.com",
        "https://",
        "https://[::1",
        "",
    ],
)
def test_a_base_url_that_a_token_must_not_be_sent_to_is_refused_in_one_sentence(given: str) -> None:
    with pytest.raises(ConfigError, match=r"^WASENDER_BASE_URL [^\n]+\.$") as refused:
        WasenderClient(given, Tokens())

    assert "secret" not in str(refused.value)
