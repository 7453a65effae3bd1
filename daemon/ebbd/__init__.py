"""ebbd: the daemon that owns a node's thin pools."""

__version__ = "0.1.0"
