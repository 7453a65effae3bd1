"""Orphans on a real pool: doctor tells, gc shows, gc --remove removes, and nothing else goes."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from lab.volumes import contents
from lab.volumes.running import MIB, Orchestrator, RunningNode, run

pytestmark = pytest.mark.timeout(600)
LOST = 4000


@pytest.fixture
def cluster(node: RunningNode) -> Iterator[Orchestrator]:
    yield Orchestrator(node, "ext4")
    assert listed(node) == {}, "a test left an orphan"


def listed(node: RunningNode) -> dict[str, Any]:
    """Orphans by kind; none of these tests has two of a kind."""
    answer: Any = node.ebb("gc")
    assert answer["unlisted"] == {}
    return {it["kind"]: it for it in answer["orphans"]}


def doctor(node: RunningNode) -> list[dict[str, Any]]:
    """The checks of orphans that are not OK."""
    checks = json.loads(node.ebb_process("--output", "json", "doctor").stdout)["checks"]
    return [it for it in checks if it["subject"] == "orphans" and it["status"] != "OK"]


def remove(node: RunningNode, *, refused: str = "") -> None:
    done = node.ebb_process("gc", "--remove", "--yes")
    assert done.returncode == (1 if refused else 0), done.stdout + done.stderr
    assert refused in done.stderr


def pool_message(node: RunningNode, *words: str) -> None:
    run("dmsetup", "message", f"{node.vg}-pool0-tpool", "0", " ".join(words))


def test_a_thin_device_that_lvm_does_not_know(node: RunningNode, cluster: Orchestrator) -> None:
    """With data in it: the blocks come back, and a volume's bytes beside it stay.

    The volume is raw block, so that nothing but the test writes to the pool.
    """
    del cluster
    cluster = Orchestrator(node, "")
    volume = cluster.create("beside", 64 * MIB)
    use = cluster.use(volume.volume_id, "beside")
    contents.write(use, "", 1)
    before, used = contents.digest(use, ""), node.pool_used_bytes()
    pool_message(node, "create_thin", str(LOST))
    major_minor = run("dmsetup", "info", "-c", "--noheadings", "-o", "major,minor",
                      f"{node.vg}-pool0-tpool").strip()  # fmt: skip
    run("dmsetup", "create", "lost", "--table", f"0 65536 thin {major_minor} {LOST}")
    run("dd", "if=/dev/urandom", "of=/dev/mapper/lost", "bs=1M", "count=8", "oflag=direct")

    orphan = listed(node)["thin-device"]
    assert orphan["subject"] == f"{node.vg}/pool0#{LOST}"
    assert orphan["allocated_bytes"] == 8 * MIB
    assert [it["name"] for it in doctor(node)] == [orphan["subject"]]
    remove(node, refused="is open")
    run("dmsetup", "remove", "--retry", "lost")
    assert node.pool_used_bytes() == used + 8 * MIB
    remove(node)
    assert node.pool_used_bytes() == used
    assert doctor(node) == []
    cluster.delete(cluster.create("after", 32 * MIB).volume_id)
    assert contents.digest(use, "") == before
    cluster.release(use)
    cluster.delete(volume.volume_id)


def test_a_leftover_metadata_snapshot_is_let_go_of(
    node: RunningNode, cluster: Orchestrator
) -> None:
    del cluster
    run("lvcreate", "--quiet", "-V", "32m", "--thinpool", "pool0", "--name", "theirs", node.vg)
    pool_message(node, "reserve_metadata_snap")
    assert listed(node) == {}
    held = run("dmsetup", "status", "--noflush", f"{node.vg}-pool0-tpool").split()[6]
    assert held == "-"
    run("lvremove", "--force", "--yes", f"{node.vg}/theirs")


def test_a_stale_mount_its_device_and_an_lv_without_a_story(
    node: RunningNode, cluster: Orchestrator
) -> None:
    volume = cluster.create("rewound", 64 * MIB)
    use = cluster.use(volume.volume_id, "rewound")
    contents.write(use, "ext4", 2)
    [lv] = node.thin_volumes()
    tags = run("lvs", "--noheadings", "-o", "lv_tags", f"{node.vg}/{lv}").strip().split(",")
    second = f"{lv.rpartition('.')[0]}.2"
    run(
        *("lvcreate", "--quiet", "--snapshot", "-kn", "--name", second),
        *(word for tag in tags for word in ("--addtag", tag)),
        f"{node.vg}/{lv}",
    )
    run("lvchange", "-an", f"{node.vg}/{second}")
    orphans: Any = node.ebb("gc")
    assert {it["subject"] for it in orphans["orphans"]} == {str(use.staging), str(use.target)}
    with (use.target / "held").open("w"):
        remove(node, refused="in use")
    remove(node)
    assert listed(node)["active"]["subject"] == f"{node.vg}/{lv}"
    remove(node)
    assert node.thin_volumes() == [lv, second]

    stripped = [word for tag in tags for word in ("--deltag", tag)]
    run("lvchange", *stripped, f"{node.vg}/{second}")
    kept = listed(node)["lv"]
    assert (kept["subject"], kept["action"]) == (f"{node.vg}/{second}", "")
    assert "older generation" in kept["reason"]
    run("lvremove", "--force", "--yes", f"{node.vg}/{second}")
    run("lvchange", *stripped, f"{node.vg}/{lv}")
    torn = listed(node)["lv"]
    assert torn["action"] == f"lvremove {node.vg}/{lv}"
    assert torn["allocated_bytes"] > 0
    assert [it["status"] for it in doctor(node)] == ["FAILED"]
    remove(node)
    assert node.thin_volumes() == []
    use.target.rmdir()
    use.staging.rmdir()
