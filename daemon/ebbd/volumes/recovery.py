"""Bringing LVM and the kernel to agree after a mutation was cut short.

A thin create is two VG commits around a message to the pool. Cut in between, LVM's transaction id
is one ahead of the kernel's and the metadata names the pending LV:

* message not sent: the thin device does not exist. The LV is removed, never activated.
* message sent, id not bumped: the device exists and the pool refuses every later message. The
  kernel's transaction id is set to LVM's; the creation thereby counts.

Either may leave devices suspended; they are resumed first, because LVM itself would wait on them.
What ebb's own steps left half-made (a volume marked for deletion, a group without its commit) is
finished or undone here too. Everything done is returned in words.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from ebbd.errors import HostFailure
from ebbd.host.protocols import Host
from ebbd.host.values import PoolStatus, ThinPool, VolumeGroup
from ebbd.volumes import records, tags
from ebbd.volumes.catalog import GROUP_TAG, uncommitted
from ebbd.volumes.identity import generation_of, snapshot_of


@dataclass(frozen=True, slots=True)
class Leftovers:
    """LVs to remove, in batches: a batch is gone before the next one starts."""

    deleted_volumes: tuple[tuple[str, ...], ...] = ()  # older generations, then the head
    uncommitted_group_members: tuple[str, ...] = ()


async def settle(host: Host, vg: str, pools: Iterable[str]) -> list[str]:
    """Resume, then make each pool's transaction ids agree; what was done, in words.

    Raises HostFailure when a pool's state is none of those that a cut command leaves.
    """
    done = await _resume_suspended(host, vg)
    group = await host.lvm.read(vg)
    for pool in (group.pools[name] for name in pools if name in group.pools):
        done += await _settle_pool(host, group, pool)
    return done


async def _resume_suspended(host: Host, vg: str) -> list[str]:
    done = []
    # Twice: a thin LV cannot come back while the pool under it is suspended, and the order of
    # the table says nothing about who stands on whom.
    for _ in range(2):
        for name, info in (await host.dm.active(vg)).items():
            if info.suspended:
                await host.dm.resume(vg, name)
                done.append(f"resumed {vg}/{name}, which a cut command had left suspended")
    return done


async def _settle_pool(host: Host, group: VolumeGroup, pool: ThinPool) -> list[str]:
    await host.lvm.activate_pool(group.name, pool.name)
    status = await host.dm.pool_status(group.name, pool.name)
    if status.mode == "fail":
        # It tells nothing more, and takes no message. The node's other pools go on; this one's
        # volumes are reported with the reason, and nothing is admitted to it.
        return [f"left pool {group.name}/{pool.name} as it is: the kernel says it has failed"]
    done = []
    if pool.transaction_id != status.transaction_id:
        for name in pool.pending:
            done += await _settle_creation(host, group, pool, status, name)
        pool = (await host.lvm.read(group.name)).pools[pool.name]
        status = await host.dm.pool_status(group.name, pool.name)
    ahead = pool.transaction_id - status.transaction_id
    # A deletion that waits for its message is LVM's own to finish, with its next command: it
    # takes "no such device" for an answer (libdm, _thin_pool_node_send_messages).
    if ahead and not (ahead == 1 and pool.pending_removals):
        raise HostFailure(
            f"pool {group.name}/{pool.name} is at transaction {status.transaction_id} in the "
            f"kernel and {pool.transaction_id} in LVM, which no interrupted command explains",
            "compare with a backup of the VG metadata (vgcfgrestore --list) before changing it",
        )
    return done


async def _settle_creation(
    host: Host, group: VolumeGroup, pool: ThinPool, status: PoolStatus, name: str
) -> list[str]:
    lv = group.volumes.get(name)
    if lv is None or lv.device_id is None:
        raise HostFailure(
            f"pool {group.name}/{pool.name} waits for an LV {name} that is not in the VG",
            "compare with a backup of the VG metadata (vgcfgrestore --list)",
        )
    if await host.dm.pool_has(group.name, pool.name, lv.device_id):
        await host.dm.set_transaction_id(
            group.name, pool.name, current=status.transaction_id, new=pool.transaction_id
        )
        return [f"confirmed {group.name}/{name}: the pool had made it, LVM had not heard"]
    await host.lvm.remove(group.name, [name])
    return [f"removed {group.name}/{name}: its creation had not reached the pool"]


def leftovers(group: VolumeGroup) -> Leftovers:
    """What ebb's own multi-step operations left in a settled VG, decided purely."""
    pending = uncommitted(group)
    committed = {
        key.removeprefix(GROUP_TAG) for key in tags.read(group.tags) if key.startswith(GROUP_TAG)
    }
    generations: dict[str, list[tuple[int, str]]] = {}
    marked: set[str] = set()
    members: list[str] = []
    for lv in group.volumes.values():
        if lv.name in pending:
            continue
        facts = tags.read(lv.tags)
        if head := generation_of(lv):
            generations.setdefault(head[0], []).append((head[1], lv.name))
            if records.DELETING in facts:
                marked.add(head[0])
        elif snapshot_of(lv) and facts.get(records.GROUP, "") not in {"", *committed}:
            members.append(lv.name)
    batches: list[tuple[str, ...]] = []
    for digest in sorted(marked):
        names = [name for _, name in sorted(generations[digest])]
        if names[:-1]:
            batches.append(tuple(names[:-1]))
        batches.append((names[-1],))
    return Leftovers(tuple(batches), tuple(sorted(members)))
