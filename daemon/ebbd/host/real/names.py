"""LVM's names: what is one, and how device-mapper spells it. Pure.

In a device-mapper name VG, LV and layer are joined by single hyphens, so a hyphen inside them is
doubled (lvm2: libdm/libdm-string.c, dm_build_dm_name). A name is checked here before it gets near
a command line: nothing can be mistaken for an option or for two words.
"""

import re

from ebbd.errors import InvalidInput

_NAME = re.compile(r"[A-Za-z0-9_+.][A-Za-z0-9_+.-]{0,126}")
_TAG = re.compile(r"[A-Za-z0-9_+.\-/=!:&][A-Za-z0-9_+.\-/=!:#&]{0,1023}")
_PARTS = re.compile(r"--|-|[^-]+")


def checked(name: str) -> str:
    """A VG's or LV's name, or InvalidInput."""
    if not _NAME.fullmatch(name) or name in {".", ".."}:
        raise InvalidInput(f"{name!r} cannot be the name of a VG or an LV", "see lvm(8)")
    return name


def checked_tag(tag: str) -> str:
    """A tag that may stand on the shell's line (there a word that begins with # is a comment)."""
    if not _TAG.fullmatch(tag):
        raise InvalidInput(
            f"{tag[:60]!r} cannot be a tag", "use A-Z a-z 0-9 _ + . - / = ! : & and, inside, #"
        )
    return tag


def dm_name(vg: str, name: str, layer: str = "") -> str:
    """`vg-name` or `vg-name-layer`, hyphens doubled."""
    parts = (vg, name, layer) if layer else (vg, name)
    return "-".join(part.replace("-", "--") for part in parts)


def split_dm_name(spelled: str) -> tuple[str, str, str] | None:
    """VG, LV and layer ("" when there is none); None for a name that LVM did not build."""
    parts = [""]
    for piece in _PARTS.findall(spelled):
        if piece == "-":
            parts.append("")
        else:
            parts[-1] += "-" if piece == "--" else piece
    match parts:
        case [vg, name] if vg and name:
            return vg, name, ""
        case [vg, name, layer] if vg and name and layer:
            return vg, name, layer
        case _:
            return None
