-- What a person edits or deletes may have WasenderAPI's number and no key of WhatsApp's yet: it is found by its own number.

CREATE OR REPLACE FUNCTION gateway.amend_sent_v1(box bigint, number bigint, change jsonb) RETURNS boolean
LANGUAGE plpgsql
AS $$
#variable_conflict use_variable
BEGIN
    UPDATE public.whatsapp_outgoing_messages AS m
    SET message_text = CASE change ->> 'kind' WHEN 'edit' THEN change ->> 'text' ELSE m.message_text END,
        edited_at = CASE change ->> 'kind' WHEN 'edit' THEN clock_timestamp() ELSE m.edited_at END,
        deleted_at = CASE change ->> 'kind' WHEN 'delete' THEN clock_timestamp() ELSE m.deleted_at END
    WHERE m.send_no = number AND m.wasender_session_id = box AND m.wa_key_id IS NULL;
    RETURN FOUND;
END;
$$;
COMMENT ON FUNCTION gateway.amend_sent_v1(bigint, bigint, jsonb) IS
    'Writes an edit or deletion that WasenderAPI has carried out of a message whose key is not known; false where it is known by now.';
