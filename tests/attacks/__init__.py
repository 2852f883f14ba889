"""One stranger against a gateway in a process of its own, while well-behaved clients go on.

`python -m tests.attacks` runs every attack at full length and prints a table; the suite runs each for a moment.
Loopback only; every attack is bounded in count and in time.
"""
