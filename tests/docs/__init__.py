"""The documentation names what there is: no more, no less."""
