"""One module a noun; each verb is one function from arguments to requests."""
