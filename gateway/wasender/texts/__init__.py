"""The words of a message that a person reads, one file for each family of kinds.

Every function takes the part of the payload that belongs to its kind and returns its words or None; it never raises,
whatever JSON the part is.
"""
