"""A media store in S3 whose keys were forgotten: one sentence names what to set."""

import pytest
from obstore.store import S3Store

from gateway.domain.errors import Unavailable
from gateway.services.media.files import MediaFiles


async def test_a_bucket_without_keys_names_the_variables_that_hold_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AWS_WEB_IDENTITY_TOKEN_FILE"):
        monkeypatch.delenv(name, raising=False)
    # A machine that has no keys to give: nothing listens where they would be asked for.
    store = S3Store(
        "bucket", region="us-east-1", metadata_endpoint="http://127.0.0.1:1", retry_config={"max_retries": 0}
    )

    with pytest.raises(Unavailable, match="set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"):
        await MediaFiles(store, None).marker()
