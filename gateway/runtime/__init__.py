"""The composition root: builds every part in the order of dependency and closes it in reverse."""
