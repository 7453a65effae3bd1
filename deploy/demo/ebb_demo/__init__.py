"""The demo: what ebb does, told with real volumes on a real thin pool, every step checked."""
