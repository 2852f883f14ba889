"""Contacts, places, polls and events, and the invitations to join something."""

import quopri
import re
from typing import Any

from gateway.domain.polls import option_line
from gateway.wasender.texts.lines import flag, joined, joined_all, moment, on_one_line, texts
from gateway.wasender.values import number, objects, text_at, whole

_MAX_CARDS = 100
_END_OF_CARD = re.compile(r"END:VCARD", re.IGNORECASE)
_ESCAPED = re.compile(r"\\([,;:\\])")


def contact(part: Any) -> str | None:
    """The name, and the numbers of the card; one after the other where the card holds several people."""
    card = text_at(part, "vcard", "vCard", "vcardText")
    people = _people(card) if card else []
    name = text_at(part, "displayName", "name")
    if len(people) > 1:
        return joined_all(line for named, numbers in people for line in (named, *numbers))
    named, numbers = people[0] if people else (None, [])
    return joined(name or named, *numbers)


def contacts(part: Any) -> str | None:
    """The people of all cards."""
    cards = objects(part.get("contacts")) if isinstance(part, dict) else []
    return joined_all(contact(card) for card in cards[:_MAX_CARDS]) or contact(part)


def location(part: Any) -> str | None:
    """Name, address and coordinates, a line each."""
    return joined(*texts(part, "name", "address", "caption", "comment"), _point(part))


def _point(part: Any) -> str | None:
    if not isinstance(part, dict):
        return None
    for names in (("degreesLatitude", "degreesLongitude"), ("latitude", "longitude"), ("lat", "lng")):
        pair = [part.get(name) for name in names]
        numbers = [number(value) for value in pair]
        if (
            numbers[0] is not None
            and numbers[1] is not None
            and abs(numbers[0]) <= 90
            and abs(numbers[1]) <= 180
        ):
            return ",".join(str(value).strip() for value in pair if not isinstance(value, dict))
    return None


def poll(part: Any) -> str | None:
    """The question, and an option per line."""
    if not isinstance(part, dict):
        return None
    options = part.get("options")
    labels = [
        text_at(option, "optionName", "name") if isinstance(option, dict) else option
        for option in (options if isinstance(options, list) else ())
    ]
    return joined(
        text_at(part, "name", "title"),
        *(option_line(label.strip()) for label in labels if isinstance(label, str) and label.strip()),
    )


def poll_results(part: Any) -> str | None:
    """The question, and the votes of each option."""
    votes = objects(part.get("pollVotes")) if isinstance(part, dict) else []
    return joined_all([text_at(part, "name"), *map(_votes, votes)])


def _votes(vote: dict[str, Any]) -> str | None:
    label = text_at(vote, "optionName", "name")
    return option_line(label.strip(), max(0, whole(vote.get("optionVoteCount")) or 0)) if label else None


def event(part: Any) -> str | None:
    """What, when, where, and the link to join."""
    if not isinstance(part, dict):
        return None
    name = text_at(part, "name", "eventTitle", "title")
    if flag(part, "isCanceled"):
        name = on_one_line("Cancelled", name, by=": ")
    when = on_one_line(moment(part.get("startTime")), moment(part.get("endTime")), by=" – ")
    return joined(
        name,
        when,
        location(part.get("location")),
        *texts(part, "description", "caption", "joinLink", "callLink"),
    )


def group_invite(part: Any) -> str | None:
    """An invitation to a group, with its name."""
    return _invitation("Invitation to the group", part, "groupName")


def channel_admin_invite(part: Any) -> str | None:
    """An invitation to manage a channel, with its name."""
    return _invitation("Invitation to manage the channel", part, "newsletterName")


def channel_invite(part: Any) -> str | None:
    """An invitation to a channel, with its name."""
    return _invitation("Invitation to the channel", part, "newsletterName")


def _invitation(words: str, part: Any, name: str) -> str:
    return joined(on_one_line(words, text_at(part, name), by=" "), text_at(part, "caption")) or words


def sticker_pack(part: Any) -> str | None:
    """The name of the pack, who made it, and what was written with it."""
    words = on_one_line("Stickers", text_at(part, "name"), by=": ")
    return joined(on_one_line(words, text_at(part, "publisher")), *texts(part, "packDescription", "caption"))


def music(part: Any) -> str | None:
    """Title, author and the link of a piece of music."""
    return joined(
        on_one_line(*texts(part, "embeddedMusic.title", "embeddedMusic.author")), text_at(part, "songUri")
    )


# ------------------------------------------------------------------------------------------------ vCards


def _people(card: str) -> list[tuple[str | None, list[str]]]:
    """The people of a vCard file, each as name and numbers; a card without both is left out."""
    if "\n" not in card and "\\n" in card:  # escaped once too often
        card = card.replace("\\r", "").replace("\\n", "\n")
    blocks = _END_OF_CARD.split(card, _MAX_CARDS)[:_MAX_CARDS]
    people = [_person(_unfolded(block)) for block in blocks]
    return [one for one in people if one[0] or one[1]]


def _unfolded(block: str) -> list[str]:
    """The lines of a card; one that begins with a blank goes on from the one before."""
    lines: list[list[str]] = []
    for line in block.splitlines():
        if line[:1] in (" ", "\t") and lines:
            lines[-1].append(line[1:])
        else:
            lines.append([line])
    return ["".join(parts) for parts in lines]


def _person(lines: list[str]) -> tuple[str | None, list[str]]:
    names: dict[str, str] = {}
    numbers: list[str] = []
    mails: list[str] = []
    for line in lines:
        head, colon, value = line.partition(":")
        if not colon or len(line) > 1_000:  # a photo
            continue
        field, *options = head.strip().split(";")
        field = field.rpartition(".")[2].upper()
        if field in ("FN", "N", "ORG"):
            names.setdefault(field, _plain(field, value, options))
        elif field == "TEL":
            numbers.append(_number(value, options))
        elif field == "EMAIL":
            mails.append(value.strip())
    name = next((names[field] for field in ("FN", "N", "ORG") if names.get(field)), None)
    found = [number for number in numbers if number] or [mail for mail in mails if mail]
    return name, list(dict.fromkeys(found))


def _plain(field: str, value: str, options: list[str]) -> str:
    if any(option.upper().endswith("QUOTED-PRINTABLE") for option in options):
        value = quopri.decodestring(value.encode()).decode("utf-8", "replace")
    if field == "N":  # family name; first name; …
        family, first, *_ = [*value.split(";"), ""]
        value = f"{first} {family}"
    elif field == "ORG":
        value = value.replace(";", " ")
    return _ESCAPED.sub(r"\1", value.replace("\\n", " ")).strip()


def _number(value: str, options: list[str]) -> str:
    """The number as it is written; WhatsApp's own (`waid`) where nothing is."""
    value = value.strip()
    if value[:4].lower() == "tel:":
        value = value[4:].partition(";")[0]
    if value:
        return value
    ids = [option[5:] for option in options if option.lower().startswith("waid=")]
    return f"+{ids[0]}" if ids and ids[0].isdigit() else ""
