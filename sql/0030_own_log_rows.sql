-- Old log rows of ours go after a year; those of the shop are the shop's, and stay. So ours have to say so.

SELECT gateway.adopt_v1('public.whatsapp_session_logs', 'What happened to each session.', ARRAY[
    ['written_by', 'text', '`gateway`: goes after 365 days. NULL: a row of the shop''s own code, kept for ever.']
]);
