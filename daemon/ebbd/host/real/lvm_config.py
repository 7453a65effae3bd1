"""The configuration of our own LVM: a folder that LVM_SYSTEM_DIR names.

Why not the machine's: its filter does not keep us away from other VGs, and the log settings that
make a command answer in JSON are refused on the command line. What is not said here is LVM's
default, so locking in particular is shared with everybody else's LVM commands.
"""

import re
from collections.abc import Sequence
from pathlib import Path

from ebbd.errors import InvalidInput

_DEVICE = re.compile(r"/dev/[A-Za-z0-9_+.:@/=-]+")
_SYSTEM_ID = re.compile(r"[A-Za-z0-9_.-]*")

_TEMPLATE = """\
# Written by ebbd at each start; changes are lost.
config {{
	profile_dir = "/etc/lvm/profile"	# pools may name a profile: the machine's own
}}
devices {{
	global_filter = [ {filter} ]	# only our PVs: no other VG is ever opened
	use_devicesfile = 0	# the filter above says it all
	hints = "none"	# the machine's hints are made under another filter
}}
backup {{
	backup = 1	# /etc/lvm/backup keeps the latest metadata, as after any LVM command
	backup_dir = "/etc/lvm/backup"
	archive = 0	# a file a mutation, each scanning all the others, would slow every create
}}
activation {{
	monitoring = 0	# the pool's fill is ebbd's to watch; dmeventd would only act against it
	thin_pool_autoextend_threshold = 100
}}
global {{
	notify_dbus = 0	# lvmdbusd would start a full scan after each of our commands
	use_lvmpolld = 0
{system_id_source}}}
{local}log {{
	report_command_log = 1	# an answer is a JSON document with the messages and the return code
	command_log_selection = "all"
}}
report {{
	output_format = "json"
}}
shell {{
	history_size = 0
}}
"""


def configuration(devices: Sequence[str], system_id: str = "") -> str:
    """lvm.conf(5) text that accepts `devices` and nothing else.

    `system_id` is that of our VG when it has one: a VG of a named system is refused otherwise.
    Raises InvalidInput for a path that could mean more than itself in a filter.
    """
    for device in devices:
        if not _DEVICE.fullmatch(device):
            raise InvalidInput(
                f"{device!r} cannot be a physical volume", "name a device below /dev"
            )
    if not _SYSTEM_ID.fullmatch(system_id):
        raise InvalidInput(f"{system_id!r} is no LVM system id", "see lvmsystemid(7)")
    accepted = [f'"a|^{re.escape(device)}$|"' for device in devices]
    return _TEMPLATE.format(
        filter=", ".join([*accepted, '"r|.*|"']).replace("\\", "\\\\"),
        system_id_source='\tsystem_id_source = "lvmlocal"\n' if system_id else "",
        local=f'local {{\n\tsystem_id = "{system_id}"\n}}\n' if system_id else "",
    )


def write(folder: Path, text: str) -> None:
    """Put the configuration in place in one step, so that a starting LVM never reads half of it."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    fresh = folder / "lvm.conf.new"
    fresh.write_text(text, encoding="ascii")
    fresh.replace(folder / "lvm.conf")
