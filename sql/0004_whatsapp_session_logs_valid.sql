-- Checks the log rows that were there before the foreign key. Readers and writers go on meanwhile.

DO $$
BEGIN
    IF EXISTS (
        SELECT FROM pg_constraint
        WHERE conrelid = 'public.whatsapp_session_logs'::regclass
            AND conname = 'whatsapp_session_logs_session_id_gateway_fkey'
            AND NOT convalidated
    ) THEN
        ALTER TABLE public.whatsapp_session_logs
            VALIDATE CONSTRAINT whatsapp_session_logs_session_id_gateway_fkey;
    END IF;
EXCEPTION
    WHEN foreign_key_violation THEN
        RAISE WARNING 'whatsapp_session_logs holds rows of sessions that no longer exist; they are kept, and the foreign key guards only new rows';
END;
$$;
