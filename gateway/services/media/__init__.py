"""Files of messages: fetched, kept, given out, taken in."""
