"""A migration of the tag schema carried out on the node's VGs."""

from collections.abc import Callable

from ebbd.errors import WrongState
from ebbd.host.protocols import Lvm
from ebbd.volumes import mutations
from ebbd.volumes.devices import released
from ebbd.volumes.mutations import Mutation
from ebbd.volumes.schema import Rename, Step, plan
from ebbd.volumes.store import Store
from ebbd.volumes.use import mounts_of
from ebbd.volumes.writer import flow_of


async def migrate(store: Store, version: int, say: Callable[[str], None]) -> int:
    """Make every VG readable by an ebbd of schema `version`; the commits that it took.

    Everything is looked at before anything is changed. Raises InvalidInput for a version that is
    not one of the two that this ebbd knows, Unavailable while a VG is missing, WrongState when an
    LV to be renamed is in use.
    """
    (await store.catalog()).whole()  # half a migration is none
    steps = [(vg, step) for vg in store.pools.vgs for step in plan(store.group(vg), version)]
    for vg, step in steps:
        if isinstance(step, Rename):
            await _refuse_if_used(store, vg, step.lv_name)
    for vg, step in steps:
        await store.mutate(mutation(store.host.lvm, vg, step))
        say(_told(vg, step))
    return len(steps)


async def _refuse_if_used(store: Store, vg: str, lv_name: str) -> None:
    """A mount remembers the device's name, and btrfs is told by it."""
    info = await released(store, vg, lv_name)
    if info and (info.open_count or mounts_of(await store.host.mounts.table(), info)):
        raise WrongState(
            f"{vg}/{lv_name} is in use, and its name would change under its mounts",
            "unmount the volume first; nothing was migrated",
        )


def mutation(lvm: Lvm, vg: str, step: Step) -> Mutation:
    """One commit that carries out one step."""
    flow = flow_of("")
    if isinstance(step, Rename):
        return mutations.rename(lvm, vg, step.lv_name, step.new_name, flow=flow)
    return mutations.retag(lvm, vg, step.lv_name, add=step.add, remove=step.remove, flow=flow)


def _told(vg: str, step: Step) -> str:
    if isinstance(step, Rename):
        return f"renamed {vg}/{step.lv_name} to {step.new_name}"
    return f"retagged {vg}/{step.lv_name}: {', '.join(step.add)} for {', '.join(step.remove)}"
