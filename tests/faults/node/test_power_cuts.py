"""The power goes in the middle of a stream of mutations; the node comes up on the same disks."""

import asyncio
import json
import random
import time

import pytest
from ebb_lab import Disk, Lab
from faults.sample import Sample
from faults.stream import CONFIG, DEVICE, VG, Story
from faults.tally import Tally

CUTS = 10
GIB = 1 << 30
KIND = "power cut"
SEED = 20260
PYTHON = {"PYTHONPATH": "/ebb/tests"}
SETTINGS = {
    "node": {"id": "lab-node"},
    "pools": [{"name": f"{VG}/pool0", "devices": [DEVICE], "size": "1Gi"}],
}


@pytest.mark.timeout(3000)
async def test_power_cuts_in_a_stream_of_mutations(sample: Sample, tally: Tally) -> None:
    chance = random.Random(SEED)  # noqa: S311 - cuts to be repeated, no secret
    story = Story()
    verbs: list[str] = []
    cuts = CUTS if sample.every == 1 else 2
    async with Lab(disks=[Disk("pool", 2 * GIB)]) as lab:
        settings = json.dumps(SETTINGS).encode()
        await lab.run(["sh", "-c", f"cat > {CONFIG}"], input=settings)
        await lab.run(["ebb-lab-ebbd"], timeout_s=180)
        for cut in range(1, cuts + 1):
            began = time.monotonic()
            told = chance.randrange(3, 9), chance.uniform(0.0, 1.0)
            story, passed = await mutate_until_cut(lab, story, cut, *told)
            await lab.boot()
            await lab.run(["ebb-lab-ebbd"], timeout_s=180)
            begun, (story, checked) = story.begun, await check(lab, story)
            verbs += passed
            tally.add(KIND, checked=checked)
            print(
                f"power cut {cut}/{cuts} in '{' '.join(begun) or 'between two'}', "
                f"{checked} checked, {time.monotonic() - began:.0f} s"
            )
    assert len(set(verbs)) >= 4, f"a stream of {verbs} says little"


async def mutate_until_cut(
    lab: Lab, story: Story, seed: int, mutations: int, delay_s: float
) -> tuple[Story, list[str]]:
    """Let so many mutations be acknowledged, then cut `delay_s` later; what was told until then."""
    argv = ["python3", "-m", "faults.stream", "act", "--seed", str(SEED + seed)]
    verbs: list[str] = []
    async with lab.stream(argv, env=PYTHON, stdin=asyncio.subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps(as_json(story)).encode() + b"\n")
        await process.stdin.drain()
        done = 0
        while done < mutations:
            line = await process.stdout.readline()
            if not line:
                assert process.stderr is not None
                raise AssertionError((await process.stderr.read()).decode())
            story = Story.parse(line.decode())
            if story.begun[0]:
                verbs.append(story.begun[0])
            else:
                done += 1
        await asyncio.sleep(delay_s)
        await lab.power_cut()
        # What it had told before the cut and nobody had read yet counts as told.
        while line := await process.stdout.readline():
            if line.endswith(b"\n"):
                story = Story.parse(line.decode())
    return story, verbs


async def check(lab: Lab, story: Story) -> tuple[Story, int]:
    told = await lab.run(
        ["python3", "-m", "faults.stream", "check"],
        env=PYTHON,
        input=json.dumps(as_json(story)).encode() + b"\n",
        timeout_s=300,
    )
    answer = json.loads(told.stdout.splitlines()[-1])
    return Story.parse(json.dumps(answer["story"])), int(answer["checked"])


def as_json(story: Story) -> dict[str, object]:
    return {
        "volumes": story.volumes,
        "snapshots": story.snapshots,
        "sizes": story.sizes,
        "serial": story.serial,
        "begun": list(story.begun),
    }
