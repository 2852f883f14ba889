"""Supabase Realtime's dialect: an encoder and a state machine over the hub, for its unmodified clients."""
