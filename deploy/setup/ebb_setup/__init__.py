"""Gets a machine ready for `make`.

Standard library only, since it runs before anything is installed.
"""
