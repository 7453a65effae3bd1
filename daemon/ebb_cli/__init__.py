"""ebb: a client of ebb.v1 and nothing more; whatever it does, the API does."""
