"""Threads as SQL: incoming and outgoing messages of a chat in one order, however many there are."""

from gateway.postgres.inbox.conversation_statements import ANSWERS, IN_MADE, INCOMING, OUT_MADE, OUTGOING

# Of each table as many of the newest rows as a page holds, found by index, and all those of the same second. Moments
# read from naive columns are out of order where clocks are put forward (an hour that does not exist): around that
# also those a little older, and a little newer than the cursor ($7). Rows without a moment of their own are few.
_HALVES = """
    SELECT {names}
    FROM {rows}
      AND m.{moment} <= coalesce(
          date_trunc('second', $3::text::timestamptz) + interval '999999 microseconds', 'infinity') + $7::interval
      AND m.{moment} >= (
          SELECT CASE
              WHEN oldest.moment BETWEEN '1900-01-01' AND '9999-12-31' AND oldest.moment::timestamptz
                  - (oldest.moment - interval '3 hours')::timestamptz <> interval '3 hours'
                  THEN oldest.moment - interval '3 hours'
              ELSE date_trunc('second', oldest.moment)
          END
          FROM (
              SELECT min(newest.moment) AS moment
              FROM (
                  SELECT m.{moment} AS moment FROM {rows}
                    AND m.{moment} <= coalesce(
                        date_trunc('second', $3::text::timestamptz) + interval '999999 microseconds', 'infinity')
                        + $7::interval
                    AND ($3::text::timestamptz IS NULL
                        OR (date_trunc('second', m.{moment}::timestamptz), {made}, '{way}', lpad(m.id::text, 40, '0'))
                            < (date_trunc('second', $3::text::timestamptz), $8::text::timestamptz, $4::text,
                               lpad($5::text, 40, '0')))
                  ORDER BY m.{moment} DESC LIMIT $6
              ) AS newest
          ) AS oldest)
    UNION ALL
    SELECT {names}
    FROM {rows} AND m.{moment} IS NULL
"""


def _names(table: str, moment: str, way: str, made: str) -> str:
    return (
        f"'{table}' AS tbl, coalesce(m.{moment}, m.created_at, 'epoch')::timestamptz AS at, {made} AS made, "
        f"'{way}' AS direction, m.id::text AS id, gateway.record_of_v1(m.*, 'public.{table}'::regclass) AS record"
    )


_IN = _names("whatsapp_incoming_messages", "received_at", "in", IN_MADE)
_OUT = _names("whatsapp_outgoing_messages", "sent_at", "out", OUT_MADE)

MESSAGES = f"""
SELECT tbl, at, at::text AS place, made, made::text AS made_place, direction, id, record
FROM (
    {_HALVES.format(names=_IN, rows=INCOMING, moment="received_at", way="in", made=IN_MADE)}
    UNION ALL
    {_HALVES.format(names=_OUT, rows=OUTGOING, moment="sent_at", way="out", made=OUT_MADE)}
) AS message
WHERE $3::text IS NULL
    OR (date_trunc('second', at), made, direction, lpad(id, 40, '0'))
        < (date_trunc('second', $3::text::timestamptz), $8::text::timestamptz, $4::text, lpad($5::text, 40, '0'))
ORDER BY date_trunc('second', at) DESC, made DESC, direction DESC, lpad(id, 40, '0') DESC
LIMIT $6
""".replace("k.session", "$1::bigint").replace("k.chat", "$2::text")


def _newest(names: str, rows: str, moment: str) -> str:
    return f"""
    (SELECT {names} FROM {rows} AND m.{moment} >= (
         SELECT date_trunc('second', n.moment)
         FROM (SELECT m.{moment} AS moment FROM {rows} AND m.{moment} IS NOT NULL
               ORDER BY m.{moment} DESC LIMIT 1) AS n)
     ORDER BY date_trunc('second', m.{moment}) DESC, made DESC, lpad(m.id::text, 40, '0') DESC LIMIT 1)
    UNION ALL
    (SELECT {names} FROM {rows} AND m.{moment} IS NULL
     ORDER BY coalesce(m.created_at, 'epoch')::timestamptz DESC, lpad(m.id::text, 40, '0') DESC LIMIT 1)"""


# The last message of each conversation of a page.
LAST = f"""
SELECT k.session, k.chat, last.tbl, last.record
FROM unnest($1::bigint[], $2::text[]) AS k (session, chat)
CROSS JOIN LATERAL (
    SELECT tbl, record
    FROM (
        {_newest(_IN, INCOMING, "received_at")}
        UNION ALL
        {_newest(_OUT, ANSWERS, "sent_at")}
    ) AS newest
    ORDER BY date_trunc('second', at) DESC, made DESC, direction DESC
    LIMIT 1
) AS last
"""

CONVERSATION_OF = "SELECT gateway.conversation_of_v1($1)"

# Which of these chats has messages in the session; the first that has.
FIRST_WITH_MESSAGES = f"""
SELECT k.chat
FROM (
    SELECT $1::bigint AS session, named.chat, named.turn
    FROM unnest($2::text[]) WITH ORDINALITY AS named (chat, turn)
) AS k
CROSS JOIN LATERAL (
    (SELECT 1 FROM {INCOMING} ORDER BY m.received_at DESC LIMIT 1)
    UNION ALL
    (SELECT 1 FROM {OUTGOING} ORDER BY m.sent_at DESC LIMIT 1)
    LIMIT 1
) AS message
ORDER BY k.turn
LIMIT 1
"""

# What the phone and WhatsApp call these people and groups.
NAMES = r"""
SELECT k.session, k.address, c.name, c.push_name
FROM unnest($1::bigint[], $2::text[]) AS k (session, address)
CROSS JOIN LATERAL (
    SELECT max(found.name) AS name, max(found.push_name) AS push_name
    FROM (
        SELECT name, push_name FROM gateway.contacts WHERE session = k.session AND jid = k.address
        UNION ALL
        SELECT name, push_name FROM gateway.contacts
        WHERE session = k.session AND phone = split_part(k.address, '@', 1) AND k.address !~ '@(lid|g\.us)$'
        UNION ALL
        SELECT name, push_name FROM gateway.contacts WHERE session = k.session AND lid = k.address
    ) AS found
) AS c
WHERE c.name IS NOT NULL OR c.push_name IS NOT NULL
"""

CHATS_NAMED = """
SELECT DISTINCT gateway.conversation_of_v1(coalesce(phone || '@s.whatsapp.net', jid)) AS chat
FROM gateway.contacts
WHERE (name ILIKE '%' || $1 || '%' OR push_name ILIKE '%' || $1 || '%')
    AND ($2::bigint[] IS NULL OR session = ANY ($2))
UNION
SELECT chat FROM gateway.conversation_marks
WHERE name ILIKE '%' || $1 || '%' AND ($2::bigint[] IS NULL OR session = ANY ($2))
LIMIT 1000
"""

# A session has this chat if it is listed, or if its inbox is not listed to the end yet; the messages decide. What was
# not sent does not count, as in the list. Not by EXISTS: two of them with OR become a hash of all messages. The order
# is the index's; without it Postgres may read the table, hoping to meet the chat soon.
SESSIONS_OF_CHAT = f"""
SELECT k.session
FROM (
    SELECT session, chat FROM gateway.conversations WHERE chat = $1
    UNION
    SELECT i.inbox, $1::text
    FROM gateway.inboxes AS i
    LEFT JOIN gateway.projections AS p ON p.inbox = i.inbox
    WHERE i.inbox >= 0 AND (p.epoch = i.epoch AND p.off = i.off AND p.next_chat IS NULL) IS NOT TRUE
) AS k
CROSS JOIN LATERAL (
    (SELECT 1 FROM {INCOMING} ORDER BY m.received_at DESC LIMIT 1)
    UNION ALL
    (SELECT 1 FROM {OUTGOING} AND coalesce(m.status, '') NOT IN ('queued', 'sending', 'failed', 'cancelled')
     ORDER BY m.sent_at DESC LIMIT 1)
    LIMIT 1
) AS message
"""
