-- Columns that only the sender needs are hidden in the outgoing table, and in no other: a shop's own column `send_no` of
-- another table, and its columns `payload`, `holder`, `due_at` and `request_hash` beside it, are told.
CREATE OR REPLACE FUNCTION gateway.record_of_v1(source anyelement, tbl oid) RETURNS jsonb
LANGUAGE plpgsql STABLE
AS $$
DECLARE
    told jsonb;
BEGIN
    BEGIN
        told := pg_catalog.to_jsonb(source);
    EXCEPTION
        WHEN OTHERS THEN
            told := gateway.tellable_columns_v1(source::text, tbl);
    END;
    IF told OPERATOR(pg_catalog.?) 'send_no'
        AND tbl OPERATOR(pg_catalog.=) pg_catalog.to_regclass('public.whatsapp_outgoing_messages')::oid THEN
        RETURN told OPERATOR(pg_catalog.-) '{raw_data,send_no,due_at,holder,payload,request_hash}'::text[];
    END IF;
    RETURN told OPERATOR(pg_catalog.-) 'raw_data';
END;
$$;
