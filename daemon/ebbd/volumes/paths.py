"""Where ebb may mount: absolute paths below the directories the operator allows.

Only the text is judged here; that no symlink leads elsewhere is checked where the path is made
(ebbd.host, Mounts.make_directory).
"""

from collections.abc import Sequence
from pathlib import PurePosixPath

from ebbd.errors import InvalidInput

PATH_BYTES = 4095  # PATH_MAX less its terminator
NAME_BYTES = 255  # NAME_MAX


def check_path(path: str, allowed_directories: Sequence[str]) -> str:
    """The path in its one form, or InvalidInput that says what is allowed."""
    if not path.startswith("/") or "\0" in path or len(path.encode()) > PATH_BYTES:
        raise InvalidInput(f"{path[:80]!r} is not an absolute path", "give a full path")
    pure = PurePosixPath("/" + path.lstrip("/"))
    if ".." in pure.parts:
        raise InvalidInput(f"{path!r} contains '..'", "give the path without it")
    if any(len(part.encode()) > NAME_BYTES for part in pure.parts):
        raise InvalidInput(
            f"{path[:80]!r} has a name of more than {NAME_BYTES} bytes in it", "shorten it"
        )
    if not any(PurePosixPath(allowed) in pure.parents for allowed in allowed_directories):
        raise InvalidInput(
            f"{path!r} is not below a directory where ebbd may mount",
            f"use one below {', '.join(allowed_directories)}, or add its parent to "
            "mounts.allowed_directories",
        )
    return str(pure)
