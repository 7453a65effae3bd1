"""StorageClass parameters: which there are, and what each may say.

`csi.storage.k8s.io/*` keys are the CO's own: the claim's name and namespace are kept as facts
(external-provisioner --extra-create-metadata), the others pass without effect, because a new
sidecar may add one.
"""

import re
import shlex
from collections.abc import Mapping

from ebbd.errors import InvalidInput
from ebbd.intent import KEYS as INTENT_KEYS
from ebbd.intent import parse_intent, unknown_key
from ebbd.model import Parameters

OWN_KEYS = frozenset({"pool", "mkfs-options", "mount-options"})
CO_PREFIX = "csi.storage.k8s.io/"
_CLAIM_NAME = f"{CO_PREFIX}pvc/name"
_CLAIM_NAMESPACE = f"{CO_PREFIX}pvc/namespace"
# Each list is one tag of at most 1,024 characters, escaped at up to three a character.
OPTIONS_CHARACTERS = 256
MOUNT_OPTIONS_BYTES = 8192  # twice what CSI allows in a request; a command line has an end
_PRINTABLE = re.compile(r"[\x20-\x7e]*\Z")
# Kubernetes' own bound for object names (RFC 1123 subdomain).
_OBJECT_NAME = re.compile(r"[A-Za-z0-9.-]{0,253}\Z")
_MOUNT_OPTION = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:=/+\-]*\Z")
# Options that would defeat what ebb promises of a mount: another deed than mounting this device,
# another device or file beside it, or something that mount(8) does to the target or remembers.
_PROPAGATION = {"shared", "rshared", "slave", "rslave", "private", "rprivate", "unbindable"}
_REFUSED_MOUNT_OPTIONS = frozenset(
    {"bind", "rbind", "move", "remount", "loop", "offset", "sizelimit", "encryption", "make-shared"}
    | {"journal_path", "journal_dev", "logdev", "rtdev", "device", "helper", "uhelper", "fstype"}
    | {"user", "users", "owner", "group", "nofail", "runbindable", *_PROPAGATION}
)
_REFUSED_PREFIXES = ("x-mount.", "verity.")


def parse_parameters(values: Mapping[str, str]) -> Parameters:
    """Parameters of CreateVolume; InvalidInput names a key or value that is not known."""
    intent: dict[str, str] = {}
    own: dict[str, str] = {}
    for key, value in values.items():
        if key in INTENT_KEYS:
            intent[key] = value
        elif key in OWN_KEYS:
            own[key] = value
        elif not key.startswith(CO_PREFIX):
            raise InvalidInput(*unknown_key(key, OWN_KEYS | INTENT_KEYS))
    _check_length("mount-options", own.get("mount-options", ""))
    return Parameters(
        pool=own.get("pool", ""),
        mkfs_options=_words("mkfs-options", own.get("mkfs-options", "")),
        mount_options=check_mount_options(
            tuple(o for o in own.get("mount-options", "").replace(",", " ").split() if o)
        ),
        claim_namespace=_claim(values, _CLAIM_NAMESPACE),
        claim_name=_claim(values, _CLAIM_NAME),
        intent=parse_intent(intent),
    )


def check_mount_options(options: tuple[str, ...]) -> tuple[str, ...]:
    """Mount options one by one; what they mean is the filesystem's business."""
    if sum(len(option) + 1 for option in options) > MOUNT_OPTIONS_BYTES:
        raise InvalidInput(
            f"the mount options have more than {MOUNT_OPTIONS_BYTES} bytes", "leave some out"
        )
    for option in options:
        name = option.partition("=")[0].lower()
        refused = name in _REFUSED_MOUNT_OPTIONS or name.startswith(_REFUSED_PREFIXES)
        if refused or not _MOUNT_OPTION.match(option):
            raise InvalidInput(
                f"mount option {option!r} is not allowed",
                "use options of mount(8) for this filesystem, such as noatime or discard",
            )
    return options


def _words(key: str, text: str) -> tuple[str, ...]:
    _check_length(key, text)
    try:
        words = tuple(shlex.split(text))
    except ValueError as bad:
        raise InvalidInput(f"{key}: {bad} in {text!r}", "quote as a shell would") from bad
    if paths := [word for word in words if "/" in word]:
        # mkfs would take it for the device to write to, or copy the node's own files from it.
        raise InvalidInput(
            f"{key}: {paths[0]!r} names a path", "only options of mkfs for this filesystem go here"
        )
    return words


def _check_length(key: str, text: str) -> None:
    if len(text) > OPTIONS_CHARACTERS or not _PRINTABLE.match(text):
        raise InvalidInput(
            f"{key} is too long or has characters other than printable ASCII",
            f"keep it within {OPTIONS_CHARACTERS} characters",
        )


def _claim(values: Mapping[str, str], key: str) -> str:
    value = values.get(key, "")
    if not _OBJECT_NAME.match(value):
        raise InvalidInput(f"{key} is not a Kubernetes name: {value[:40]!r}")
    return value
