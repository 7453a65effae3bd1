"""A machine in memory that keeps every promise of `ebbd.host.protocols`.

It is `ebbd --simulate` and the ground that unit tests stand on. `build.make_host` puts it together;
`machine.Machine` is what its parts share, and what a test reaches for to look behind ebbd's back.
"""
