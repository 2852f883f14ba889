"""Webhooks that are no plain messages, told in any order over all gateways, with what must be so in the end.

A story is a handful of webhooks about one message or one person, and its facts: forged edits and deletions change
nothing, what came empty is filled, what came early is applied, and a person has one conversation however late the
number became known. A story that has begun is told to its end, so its facts hold whatever the weather was.
"""

import asyncio
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.faults.ledger import Ledger, Restore, is_counted
from tests.faults.writers import Sender
from tests.http.webhook_makers import (
    GROUP,
    contact,
    deleted,
    edit,
    element,
    jid,
    key,
    react,
    revoke,
    said,
    update,
    upsert,
)

PEOPLE = tuple(f"49151123456{number}" for number in range(70, 78))
EMPTY: tuple[dict[str, Any], ...] = (
    {"message": None},
    {"message": {}},
    {"message": {"messageContextInfo": {"deviceListMetadataVersion": 2}}},
    {"message": None, "messageStubType": 2, "messageStubParameters": ["Bad MAC"]},
    {"message": None, "messageStubType": "CIPHERTEXT"},
    {"message": {"placeholderMessage": {"type": 0}}},
)

Body = dict[str, Any]
Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Fact:
    """There is exactly one such row, and it has these values. `author` is None for a message of ours."""

    session: int
    key: str
    author: str | None
    values: dict[str, Any]

    def complaint(self, rows: Sequence[Row]) -> str | None:
        own = [row for row in rows if self.author is None or row["author"] == self.author]
        if len(own) != 1:
            return f"{self}: {len(own)} rows: {[dict(row) for row in rows]}"
        for name, value in self.values.items():
            found = _seen(own[0], name)
            if found != value:
                whose = self.author or "us"
                return f"session {self.session}: {self.key} of {whose}: {name} is {found!r}, not {value!r}"
        return None


def _seen(row: Row, name: str) -> Any:
    given = row["reactions"]
    if name == "emojis":
        return [one["emoji"] for one in given or ()]
    return (
        [(one["emoji"], one["by"]) for one in given]
        if name == "reactions" and given is not None
        else row[name]
    )


@dataclass(frozen=True, slots=True)
class Person:
    """All these messages are in one conversation, which is not that of a LID; `chat` is its name, if it is certain."""

    session: int
    keys: tuple[str, ...]
    chat: str | None

    def complaint(self, rows: Mapping[str, Sequence[Row]]) -> str | None:
        chats = {row["chat"] for name in self.keys for row in rows.get(name, ())}
        count = sum(len(rows.get(name, ())) for name in self.keys)
        if count == len(self.keys) and len(chats) == 1 and (self.chat is None or chats == {self.chat}):
            return None
        of = f"{count} of {len(self.keys)} messages ({self.keys[0]} …)"
        return f"session {self.session}: {of} are in {chats}, not in {self.chat or 'one chat'}"


@dataclass(frozen=True, slots=True)
class Story:
    bodies: list[Body]
    facts: list[Fact] = field(default_factory=list)
    persons: list[Person] = field(default_factory=list)
    is_ordered: bool = False
    """Each webhook is acknowledged before the next is sent."""


@dataclass
class Stories:
    """What was told to the end."""

    told: list[Story] = field(default_factory=list)
    began: dict[int, float] = field(default_factory=dict)
    """When each began, by its place, by the monotonic clock."""

    def note(self, story: Story, began: float) -> None:
        self.began[len(self.told)] = began
        self.told.append(story)

    def true_in(self, rows: Sequence[Row]) -> frozenset[int]:
        """Places of the stories that are so in these rows."""
        return frozenset(place for place, said in self._said_of(rows) if not said)

    def complaints(self, rows: Sequence[Row], restores: Sequence[Restore] = ()) -> list[str]:
        """What the tables say otherwise. A restore takes back what was told between its dump and itself."""
        return [
            complaint
            for place, said in self._said_of(rows)
            if is_counted(place, self.began.get(place, 0.0), restores)
            for complaint in said
        ]

    def _said_of(self, rows: Sequence[Row]) -> list[tuple[int, list[str]]]:
        by_key: dict[tuple[int, str, bool], list[Row]] = {}
        for row in rows:
            by_key.setdefault((row["inbox"], row["wa_key_id"], row["author"] is None), []).append(row)
        said = []
        for place, story in enumerate(self.told):
            found = [
                fact.complaint(by_key.get((fact.session, fact.key, fact.author is None), []))
                for fact in story.facts
            ]
            for person in story.persons:
                named = {
                    name: [
                        *by_key.get((person.session, name, True), []),
                        *by_key.get((person.session, name, False), []),
                    ]
                    for name in person.keys
                }
                found.append(person.complaint(named))
            said.append((place, [complaint for complaint in found if complaint is not None]))
        return said


class Teller:
    """Makes up one story after the other and tells each to the end, over any of the gateways."""

    def __init__(
        self,
        senders: Callable[[int], Sequence[Sender]],
        stories: Stories,
        ledger: Ledger,
        dice: random.Random,
        name: str,
    ) -> None:
        """`ledger` counts what is told."""
        self._senders = senders
        self._stories = stories
        self._ledger = ledger
        self._dice = dice
        self._name = name
        self._number = 0

    async def tell(self, inboxes: Sequence[int], stop: asyncio.Event) -> None:
        kinds = (
            ("story of forged changes", self._forged),
            ("story of a placeholder", self._filled),
            ("story of two authors of one key", self._namesake),
            ("story of early changes", self._early),
            ("story of a late number (LID merge)", self._late_number),
            ("story of a late number (LID merge)", self._late_number),
            ("story of one message under two addresses", self._two_addresses),
            ("story of one message under two addresses", self._two_addresses),
        )
        while not stop.is_set():
            self._number += 1
            session = self._dice.choice(inboxes)
            kind, make = self._dice.choice(kinds)
            story, began = make(session, f"T{self._name}-{self._number}"), time.monotonic()
            await self._send(story, self._senders(session))
            self._stories.note(story, began)
            self._ledger.events[kind] += 1
            self._ledger.events["webhook of a story"] += len(story.bodies)
            await asyncio.sleep(self._dice.random() * 0.05)

    async def _send(self, story: Story, senders: Sequence[Sender]) -> None:
        dice, never = self._dice, asyncio.Event()
        bodies = list(story.bodies)
        if not story.is_ordered:
            dice.shuffle(bodies)
        bodies += [body for body in bodies if dice.random() < 0.1]  # some come twice, late
        each = [(dice.choice(senders), body) for body in bodies]
        if story.is_ordered or dice.random() < 0.5:
            for sender, body in each:
                await sender.until_taken(body, never)
            return
        async with asyncio.TaskGroup() as group:
            for sender, body in each:
                group.create_task(sender.until_taken(body, never), name="webhook")

    # -------------------------------------------------------------------------------------- kinds

    def _forged(self, session: int, name: str) -> Story:
        """A message, and others who would change it: before it, after it, at the same time."""
        dice = self._dice
        author, other = dice.sample(PEOPLE, 2)
        text = f"as written {name}"
        kind = dice.choice(("theirs", "ours", "group"))
        if kind == "group":
            who: dict[str, Any] = {"by": author}
            body = said(name, GROUP, text, by=author)
            forged = [
                edit(name, GROUP, "forged", by=other),
                revoke(name, GROUP, by=other),
                edit(name, GROUP, "forged", mine=True),
                edit(name, author, "forged"),
                deleted(key(name, GROUP)),
                update(key(name, GROUP, by=other), _edited("forged")),
            ]
        else:
            who = {"mine": kind == "ours"}
            body = said(name, author, text, **who)
            forged = [
                edit(name, author, "forged", mine=kind != "ours"),
                revoke(name, author, mine=kind != "ours"),
                edit(name, other, "forged", **who),
                edit(name, other, "forged", mine=kind != "ours", ago=3),
                revoke(name, other, **who),
                edit(name, GROUP, "forged", by=author),
                deleted(key(name, other, **who)),
                update(key(name, other, **who), _edited("forged")),
                update(key(name, other, **who), {"message": None, "messageStubType": 1}),
            ]
            if kind == "theirs":
                forged.append(update(key(name, author, mine=True), {"message": None, "messageStubType": 1}))
        chosen = dice.sample(forged, k=dice.randint(2, 4))
        values = {"message_text": text, "is_edited": False, "is_deleted": False}
        fact = Fact(session, name, None if kind == "ours" else author, values)
        return Story([body, *chosen], [fact], is_ordered=dice.random() < 0.5)

    def _filled(self, session: int, name: str) -> Story:
        """A message that came empty, once or twice, and its content."""
        dice = self._dice
        chat, mine, text = dice.choice(PEOPLE), dice.random() < 0.4, f"now it is here {name}"
        hollow = [
            upsert({**element(key(name, chat, mine=mine), None), **dice.choice(EMPTY)})
            for _ in range(dice.randint(1, 2))
        ]
        content = {"conversation": text}
        full = upsert(element(key(name, chat, mine=mine), content))
        ways = [
            full,
            {**full, "event": "messages.received"},
            update(key(name, chat, mine=mine), {"message": content}),
        ]
        values = {"message_text": text, "message_type": "text"}
        fact = Fact(session, name, None if mine else chat, values)
        return Story([*hollow, dice.choice(ways)], [fact], is_ordered=dice.random() < 0.5)

    def _namesake(self, session: int, name: str) -> Story:
        """Two authors use the same key; one message, or both, came empty first."""
        dice = self._dice
        one, other = dice.sample(PEOPLE, 2)
        in_group = dice.random() < 0.5
        bodies, facts = [], []
        for author in (one, other):
            place = key(name, GROUP, by=author) if in_group else key(name, author)
            text = f"{name} by {author}"
            if author == one or dice.random() < 0.5:
                bodies.append(upsert({**element(place, None), **dice.choice(EMPTY)}))
            bodies.append(upsert(element(place, {"conversation": text})))
            facts.append(
                Fact(
                    session, name, author, {"message_text": text, "message_type": "text", "is_edited": False}
                )
            )
        return Story(bodies, facts, is_ordered=dice.random() < 0.5)

    def _early(self, session: int, name: str) -> Story:
        """Edits, a reaction, a deletion and delivery states, in any order with their message."""
        dice = self._dice
        chat, mine = dice.choice(PEOPLE), dice.random() < 0.5
        author = None if mine else chat
        bodies = [said(name, chat, "first", mine=mine)]
        values: dict[str, Any] = {
            "is_deleted": False,
            "is_edited": False,
            "message_text": "first",
            "reactions": None,
        }
        if dice.random() < 0.7:
            last = f"last {name}"
            bodies += [
                edit(name, chat, "middle", mine=mine, ago=30),
                edit(name, chat, last, mine=mine, ago=20),
            ]
            values |= {"message_text": last, "is_edited": True}
        if dice.random() < 0.6:
            bodies += [react(name, chat, "👍", ago=15), react(name, chat, "🎂", ago=12)]
            values["reactions"] = [("🎂", chat)]
        if dice.random() < 0.4:
            bodies.append(
                revoke(name, chat, mine=mine) if dice.random() < 0.5 else deleted(key(name, chat, mine=mine))
            )
            values["is_deleted"] = True
        if mine:
            bodies += [
                update(key(name, chat, mine=True), {"status": state}) for state in dice.sample((3, 4), 2)
            ]
            values["status"] = "read"
        return Story(bodies, [Fact(session, name, author, values)])

    def _late_number(self, session: int, name: str) -> Story:
        """A person who is known by LID first, or by two spellings of a number."""
        dice = self._dice
        digits = f"{int(self._name):02d}{self._number:04d}"
        if dice.random() < 0.2:
            long, short = f"5531987{digits}", f"553187{digits}"
            keys = tuple(f"{name}-{number}" for number in range(3))
            bodies = [said(one, dice.choice((long, short)), f"text of {one}") for one in keys]
            return Story(bodies, persons=[Person(session, keys, None)])
        lid, phone = f"77{session}{digits}000001@lid", f"49170{digits}0"
        keys = tuple(f"{name}-{number}" for number in range(dice.randint(3, 6)))
        bodies = []
        learners: list[Body] = []
        for number, one in enumerate(keys):
            text = f"text of {one}"
            if number == 0:
                bodies.append(said(one, lid, text))
            elif number == 1:
                bodies.append(said(one, phone, text, mine=dice.random() < 0.5))
            else:
                bodies.append(said(one, dice.choice((lid, phone)), text, mine=dice.random() < 0.3))
        if dice.random() < 0.5:
            learners.append(contact(jid(phone), lid=lid, name=f"Person {name}"))
        if not learners or dice.random() < 0.3:
            one = f"{name}-both"
            keys = (*keys, one)
            learners.append(said(one, lid, f"text of {one}", senderPn=jid(phone), senderLid=lid))
        return Story([*bodies, *learners], persons=[Person(session, keys, jid(phone))])

    def _two_addresses(self, session: int, name: str) -> Story:
        """One message and its changes, each under the LID or the number, and what tells that these are one person."""
        dice = self._dice
        digits = f"{int(self._name):02d}{self._number:04d}"
        lid, phone = f"78{session}{digits}000001@lid", f"49171{digits}0"
        mine = dice.random() < 0.4
        at: Callable[[], str] = lambda: dice.choice((lid, phone))  # noqa: E731
        bodies = [said(name, at(), "first", mine=mine)]
        values: dict[str, Any] = {"is_deleted": False, "message_text": "first", "emojis": []}
        if not mine and dice.random() < 0.5:
            bodies.append(said(name, at(), "first"))
        if not mine and dice.random() < 0.3:
            bodies.append(upsert({**element(key(name, at()), None), **dice.choice(EMPTY)}))
        if dice.random() < 0.7:
            values["message_text"] = f"last {name}"
            bodies += [
                edit(name, at(), "middle", mine=mine, ago=30),
                edit(name, at(), values["message_text"], mine=mine, ago=20),
            ]
        if dice.random() < 0.5:
            bodies += [react(name, at(), "👍", ago=15), react(name, at(), "🎂", ago=12)]
            values["emojis"] = ["🎂"]
        if dice.random() < 0.3:
            bodies.append(revoke(name, at(), mine=mine))
            values["is_deleted"] = True
        if mine:
            bodies += [update(key(name, at(), mine=True), {"status": state}) for state in (3, 4)]
            values["status"] = "read"
        links = [
            contact(jid(phone), lid=lid, name=f"Person {name}"),
            said(f"{name}-both", lid, "both", senderPn=jid(phone), senderLid=lid),
            react(name, phone, "", ago=50, senderLid=lid),
        ]
        bodies.append(dice.choice(links))
        fact = Fact(session, name, None if mine else phone, values)
        return Story(bodies, [fact], [Person(session, (name,), jid(phone))], is_ordered=dice.random() < 0.3)


def _edited(text: str) -> dict[str, Any]:
    return {"message": {"editedMessage": {"message": {"conversation": text}}}}
