-- The tables where transactions collect are empty in the eyes of VACUUM, and while it has not come by again they fill
-- with what is dead. A plan made when they were empty reads them from end to end: after ten thousand webhooks, each
-- cost Postgres four times as much as at first. By index it costs the same all the time.

ALTER FUNCTION gateway.in_arrival_v1(text, text, text[]) SET enable_seqscan = off;
ALTER FUNCTION gateway.mark_v1(bigint, bigint[]) SET enable_seqscan = off;
ALTER FUNCTION gateway.write_stream_v1(xid8) SET enable_seqscan = off;
ALTER FUNCTION gateway.number_changes() SET enable_seqscan = off;
