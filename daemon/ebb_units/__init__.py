"""Numbers as people write them, shared by the daemon and the CLI; imports nothing of ebb's."""
