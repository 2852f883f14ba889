"""Close codes of both dialects, and the rhythm of heartbeats.

A client that is closed with a code up to 4499 comes back and resumes; from 4500 on it does not.
"""

HEARTBEAT_S = 25
"""Seconds between two heartbeats of one connection."""

TOO_LARGE = 1009
RESTART = 1012
OVERLOAD = 1013
NO_PROGRESS = 4008
"""The client has read nothing for a minute."""

UNHEARD = 4009
"""The client has sent nothing for 90 seconds."""

BAD_FRAME = 4500
UNAUTHORISED = 4501
FORBIDDEN = 4503
TOO_MANY = 4529
