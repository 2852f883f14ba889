"""Threads as SQL: incoming and outgoing messages of a chat in one order, however many there are."""

from gateway.postgres.inbox.conversation_statements import INCOMING, OUTGOING

# Of each table as many of the newest rows as a page holds, found by index, and all those of the same moment. Moments
# read from naive columns are out of order where clocks are put forward (an hour that does not exist): around that
# also those a little older, and a little newer than the cursor ($7). Rows without a moment of their own are few.
_HALVES = """
    SELECT {names}
    FROM {rows}
      AND m.{moment} <= coalesce($3::text::timestamptz, 'infinity') + $7::interval
      AND m.{moment} >= (
          SELECT CASE
              WHEN oldest.moment BETWEEN '1900-01-01' AND '9999-12-31' AND oldest.moment::timestamptz
                  - (oldest.moment - interval '3 hours')::timestamptz <> interval '3 hours'
                  THEN oldest.moment - interval '3 hours'
              ELSE oldest.moment
          END
          FROM (
              SELECT min(newest.moment) AS moment
              FROM (
                  SELECT m.{moment} AS moment FROM {rows}
                    AND m.{moment} <= coalesce($3::text::timestamptz, 'infinity') + $7::interval
                    AND ($3::text::timestamptz IS NULL
                        OR (m.{moment}::timestamptz, '{way}', lpad(m.id::text, 40, '0'))
                            < ($3::text::timestamptz, $4::text, lpad($5::text, 40, '0')))
                  ORDER BY m.{moment} DESC LIMIT $6
              ) AS newest
          ) AS oldest)
    UNION ALL
    SELECT {names}
    FROM {rows} AND m.{moment} IS NULL
"""


def _names(table: str, moment: str, way: str) -> str:
    return (
        f"'{table}' AS tbl, coalesce(m.{moment}, m.created_at, 'epoch')::timestamptz AS at, '{way}' AS direction, "
        f"m.id::text AS id, gateway.record_of_v1(m.*, 'public.{table}'::regclass) AS record"
    )


_IN = _names("whatsapp_incoming_messages", "received_at", "in")
_OUT = _names("whatsapp_outgoing_messages", "sent_at", "out")

MESSAGES = f"""
SELECT tbl, at, at::text AS place, direction, id, record
FROM (
    {_HALVES.format(names=_IN, rows=INCOMING, moment="received_at", way="in")}
    UNION ALL
    {_HALVES.format(names=_OUT, rows=OUTGOING, moment="sent_at", way="out")}
) AS message
WHERE $3::text IS NULL
   OR (at, direction, lpad(id, 40, '0')) < ($3::text::timestamptz, $4::text, lpad($5::text, 40, '0'))
ORDER BY at DESC, direction DESC, lpad(id, 40, '0') DESC
LIMIT $6
""".replace("k.session", "$1::bigint").replace("k.chat", "$2::text")


def _newest(names: str, rows: str, moment: str) -> str:
    return f"""
    (SELECT {names} FROM {rows} AND m.{moment} IS NOT NULL
     ORDER BY m.{moment} DESC, lpad(m.id::text, 40, '0') DESC LIMIT 1)
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
        {_newest(_OUT, OUTGOING, "sent_at")}
    ) AS newest
    ORDER BY at DESC, direction DESC
    LIMIT 1
) AS last
"""

# A session has this chat if it is listed, or if its inbox is not listed to the end yet; the messages decide. Not by
# EXISTS: two of them with OR become a hash of all messages. The order is the index's; without it Postgres may read the
# table, hoping to meet the chat soon.
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
    (SELECT 1 FROM {OUTGOING} ORDER BY m.sent_at DESC LIMIT 1)
    LIMIT 1
) AS message
"""

MARK_READ = """
UPDATE public.whatsapp_incoming_messages m
SET is_read = true
WHERE coalesce(m.wasender_session_id, 0) = $1
  AND gateway.chat_of(m.chat, m.from_phone) = $2
  AND NOT coalesce(m.is_read, false)
"""
