-- What deliveries hold of a person: his chat, and what a receiver answered about him.

-- A deletion is still to be told, by its id alone; what was to be told before it is nothing any more.
CREATE OR REPLACE FUNCTION gateway.erase_webhooks_out_v1(box bigint, addresses text[]) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    DELETE FROM gateway.webhook_deliveries AS d
    WHERE d.session = box AND d.chat = ANY (addresses) AND (d.event <> 'message.deleted' OR d.state = 'delivered');
    UPDATE gateway.webhook_deliveries AS d
    SET chat = CASE WHEN d.chat = ANY (addresses) THEN '' ELSE d.chat END, answer = NULL
    WHERE d.session = box
        AND (d.chat = ANY (addresses) OR d.answer LIKE ANY (gateway.patterns_of_v1(addresses)));
END;
$$;
COMMENT ON FUNCTION gateway.erase_webhooks_out_v1(bigint, text[]) IS 'Deletes what webhooks out hold of a person.';
