-- As in 0106, and what was told of a person's messages that were read.

CREATE OR REPLACE FUNCTION gateway.erase_sending_v1(box bigint, addresses text[]) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    DELETE FROM gateway.sent_echoes AS e
    WHERE e.session = box
        AND (e.chat = ANY (addresses) OR e.message::text LIKE ANY (gateway.patterns_of_v1(addresses)));
    DELETE FROM gateway.read_receipts AS r
    WHERE r.session = box
        AND (r.chat = ANY (addresses) OR r.key::text LIKE ANY (gateway.patterns_of_v1(addresses)));
    DELETE FROM gateway.send_lanes AS l WHERE l.session = box AND l.chat = ANY (addresses);
    DELETE FROM gateway.number_checks AS n WHERE n.jid = ANY (addresses);
END;
$$;
