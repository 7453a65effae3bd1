"""Asks the machine, the volumes and the orphans what `diagnose` wants to know; no LVM command."""

from ebbd.errors import NotFound
from ebbd.host.values import PoolStatus
from ebbd.inspect.diagnose import Machine, VolumeProblem
from ebbd.inspect.pool_checks import PoolFacts
from ebbd.volumes.catalog import STRAY_TAG
from ebbd.volumes.gc import Collector
from ebbd.volumes.observe import Observer
from ebbd.volumes.store import Store

_STRAY_REMEDY = "look at it with 'vgs -o+vg_tags'; ebbd leaves it alone"
_PROBLEM_REMEDY = "'ebb volume show' has the details; see docs/operations.md"


async def gather(store: Store, observer: Observer, collector: Collector) -> Machine:
    """Everything that the checks are about, as it is now."""
    host = store.host
    catalog = await store.catalog()
    volumes = list(catalog.volumes.values())
    seen = await observer.observe(volumes)
    problems = [
        VolumeProblem(volume.name, observation.problem, _PROBLEM_REMEDY)
        for volume, observation in zip(volumes, seen, strict=True)
        if observation.problem
    ]
    # A stray LV is among the orphans; a tag of the VG that says nothing is told here.
    problems += [
        VolumeProblem(subject, why, _STRAY_REMEDY)
        for subject, why in sorted(catalog.strays.items())
        if STRAY_TAG in subject
    ]
    pools = []
    missing = store.missing
    for spec in [spec for spec in store.pools.specs if spec.vg not in missing]:
        group = store.group(spec.vg)
        status = await _status(store, spec.vg, spec.pool)
        pools.append(PoolFacts(group, group.pools[spec.pool], status, group.autoactivation))
    findings = await collector.find()
    return Machine(
        kernel=await host.probe.kernel(),
        cgroup=await host.probe.cgroup(),
        tools=await host.probe.tools(),
        pools=pools,
        volumes=len(volumes),
        problems=problems,
        missing={vg: (why.message, why.remedy) for vg, why in missing.items()},
        orphans=findings.orphans,
        unlisted=findings.unlisted,
        simulated=host.simulated,
    )


async def _status(store: Store, vg: str, pool: str) -> PoolStatus | None:
    try:
        return await store.host.dm.pool_status(vg, pool)
    except NotFound:
        return None  # not active: one of the things a check tells
