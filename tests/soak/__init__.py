"""Everything at once for as long as one likes, and what grew meanwhile: `python -m tests.soak --minutes 30`."""
