"""Links a number to WhatsApp: one poller per attempt in the whole cluster."""
