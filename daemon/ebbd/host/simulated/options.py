"""Which mount options the simulated mount takes: mount(8), ext4(5), xfs(5), btrfs(5)."""

import re
from collections.abc import Sequence
from types import MappingProxyType

from ebbd.errors import InvalidInput


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_GENERIC = _words(
    """async atime defaults dev diratime dirsync exec iversion lazytime loud mand noatime nodev
    nodiratime noexec noiversion nolazytime nomand norelatime nostrictatime nosuid relatime ro rw
    silent strictatime suid sync"""
)
_FILESYSTEM = {
    "ext4": _words(
        """acl auto_da_alloc barrier block_validity bsddf commit data data_err debug delalloc
        dioread_lock dioread_nolock discard errors grpid inode_readahead_blks journal_async_commit
        journal_checksum journal_ioprio max_batch_time min_batch_time minixdf noacl
        noauto_da_alloc nobarrier noblock_validity nodelalloc nodiscard noinit_itable nogrpid noload
        nouid32 prjquota resgid resuid sb stripe sysvgroups bsdgroups usrquota grpquota
        noquota"""
    ),
    "xfs": _words(
        """allocsize attr2 discard filestreams gquota grpid ikeep inode32 inode64 largeio logbsize
        logbufs logdev noalign noattr2 nodiscard nogrpid noikeep nolargeio norecovery noquota
        nouuid pquota prjquota rtdev sunit swalloc swidth sysvgroups bsdgroups uquota usrquota
        wsync"""
    ),
    "btrfs": _words(
        """acl autodefrag barrier clear_cache commit compress compress-force datacow datasum
        degraded device discard enospc_debug fatal_errors flushoncommit fragment max_inline
        metadata_ratio noacl noautodefrag nobarrier nodatacow nodatasum nodiscard
        noenospc_debug noflushoncommit nospace_cache nossd nossd_spread notreelog
        nouser_subvol_rm_allowed rescue rescan_uuid_tree skip_balance
        space_cache ssd ssd_spread subvol subvolid thread_pool treelog usebackuproot
        user_subvol_rm_allowed"""
    ),
}


# Options whose values are checked here; of the others any value passes.
_VALUES = MappingProxyType(
    {
        ("ext4", "data"): re.compile("journal|ordered|writeback"),
        ("ext4", "errors"): re.compile("continue|remount-ro|panic"),
        ("ext4", "commit"): re.compile("[0-9]+"),
        ("xfs", "logbufs"): re.compile("[2-8]"),
        ("btrfs", "compress"): re.compile("no|none|lzo|(zlib|zstd)(:[0-9]+)?"),
    }
)


def check_mount_options(kind: str, options: Sequence[str]) -> None:
    """InvalidInput on an option that the kernel or mount(8) would refuse."""
    for option in options:
        name, equals, value = option.partition("=")
        form = _VALUES.get((kind, name))
        known = name in _GENERIC or name in _FILESYSTEM[kind]
        if not known or (equals and form is not None and not form.fullmatch(value)):
            raise InvalidInput(
                f"{kind} does not take the mount option {option!r}", f"see mount(8) and {kind}(5)"
            )
