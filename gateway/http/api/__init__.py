"""The documents of the REST API, and the models that they are made of."""
