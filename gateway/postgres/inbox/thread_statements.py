"""Threads as SQL: incoming and outgoing messages of a chat in one order, however many there are."""

MESSAGES = """
SELECT tbl, at, place_at AS place, made, made_place, direction, id, record
FROM gateway.messages_before_v1($1, $2, $3, $4, $5, $6, $7, $8)
"""

LAST = "SELECT session, chat, tbl, record FROM gateway.last_messages_v1($1, $2)"

CONVERSATION_OF = "SELECT gateway.conversation_of_v1($1)"

FIRST_WITH_MESSAGES = "SELECT chat FROM gateway.first_chat_with_messages_v1($1, $2)"

# What the phone and WhatsApp call these people and groups, under every address that is known of a person.
NAMES = r"""
SELECT k.session, k.address, c.name, c.push_name
FROM unnest($1::bigint[], $2::text[]) AS k (session, address)
CROSS JOIN LATERAL (
    SELECT CASE WHEN k.address LIKE '%@s.whatsapp.net'
        THEN gateway.spellings_v1(gateway.one_number_v1(split_part(k.address, '@', 1))) ELSE '{}' END AS phones
) AS person
CROSS JOIN LATERAL (
    SELECT ARRAY(
        SELECT k.address
        UNION SELECT phone || '@s.whatsapp.net' FROM unnest(person.phones) AS phone
        UNION SELECT known.lid FROM gateway.lids AS known WHERE known.phone = ANY (person.phones)
    ) AS jids
) AS own
CROSS JOIN LATERAL (
    SELECT max(found.name) AS name, max(found.push_name) AS push_name
    FROM (
        SELECT name, push_name FROM gateway.contacts WHERE session = k.session AND jid = ANY (own.jids)
        UNION ALL
        SELECT name, push_name FROM gateway.contacts WHERE session = k.session AND phone = ANY (person.phones)
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

SESSIONS_OF_CHAT = "SELECT session FROM gateway.sessions_of_chat_v1($1)"
