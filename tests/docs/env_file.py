"""deploy/gateway.env, made from the tables of docs/settings.md: `python -m tests.docs.env_file` writes it anew."""

import re
from collections.abc import Iterator

from gateway.settings import Settings
from tests.docs.pages import DOCS, ROOT, names, table

FILE = ROOT / "deploy" / "gateway.env"

HEAD = """\
# Every setting of the gateway with its default; docs/settings.md says what each means. Remove the # of those you set.
# Copy it to `.env` for docker compose, or to /etc/whatsapp-gateway/gateway.env (mode 0600) for systemd.
# Single quotes take any character of a password as it is.
"""


def lines() -> Iterator[str]:
    """The file, line by line."""
    yield HEAD
    known = {str(field.validation_alias) for field in Settings.model_fields.values()}
    for heading in re.findall(r"^## (.+)$", (DOCS / "settings.md").read_text("utf-8"), re.MULTILINE):
        rows = [row for row in table("settings.md", f"## {heading}") if set(names([row])[:1]) & known]
        if rows:
            yield f"# {heading}"
        for row in rows:
            default = re.sub(r"[`–\s]", "", row[2])
            yield f"#{names([row])[0]}={default}"
        if rows:
            yield ""


if __name__ == "__main__":
    FILE.write_text("\n".join(lines()).rstrip("\n") + "\n", "utf-8")
