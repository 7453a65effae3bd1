"""What `ebb` makes of a daemon's answers: exit codes, streams, requests, pages."""

from pathlib import Path

import grpc
import pytest
from contract.cli.process import Ebb
from contract.cli.scripted import Script
from ebb_pb import ebb_pb2 as pb
from google.protobuf.message import Message

VOLUME = pb.Volume(
    id="v-1",
    name="db",
    pool="ebb/pool",
    size_bytes=2**30,
    filesystem="ext4",
    condition=pb.Condition(),
)


@pytest.mark.parametrize(
    ("code", "exit_code"),
    [
        (grpc.StatusCode.NOT_FOUND, 3),
        (grpc.StatusCode.ABORTED, 8),
        (grpc.StatusCode.INTERNAL, 1),
        (grpc.StatusCode.UNAVAILABLE, 5),
    ],
)
def test_a_failure_says_what_happened_and_what_to_do(
    script: Script, ebb: Ebb, code: grpc.StatusCode, exit_code: int
) -> None:
    script.fail("GetVolume", code, "there is no volume 'db'; list them with `ebb volume list`")
    outcome = ebb("volume", "show", "db", "--output", "json")
    assert outcome.exit_code == exit_code
    assert outcome.out == ""
    assert outcome.err == (
        "Error: there is no volume 'db'\nNext:  list them with `ebb volume list`\n"
    )


def test_a_daemon_that_does_not_know_the_call_is_told_to_be_older(ebb: Ebb) -> None:
    outcome = ebb("pool", "list")
    assert outcome.exit_code == 1
    assert "older than this ebb" in outcome.err


def test_nobody_there(tmp_path: Path, ebb: Ebb) -> None:
    outcome = ebb("--socket", str(tmp_path / "none"), "volume", "list")
    assert outcome.exit_code == 5
    assert f"there is no socket {tmp_path / 'none'}" in outcome.err
    assert "systemctl start ebbd" in outcome.err


def test_the_daemons_words_cannot_move_the_cursor(script: Script, ebb: Ebb) -> None:
    script.fail("GetVolume", grpc.StatusCode.NOT_FOUND, "no \x1b[2J[red]; x")
    assert "no \\x1b[2J[red]\n" in ebb("volume", "show", "db").err


def test_an_answer_that_does_not_come(script: Script, ebb: Ebb) -> None:
    script.hold("GetVolume", VOLUME)
    outcome = ebb("volume", "show", "db", "--timeout", "0.2")
    assert outcome.exit_code == 9
    assert "ebbd did not answer within 0.2 s" in outcome.err
    assert "--timeout" in outcome.err


def test_every_page_is_asked_for(script: Script, ebb: Ebb) -> None:
    def pages(request: pb.ListVolumesRequest, _: object) -> pb.ListVolumesResponse:
        page = int(request.page_token or 0)
        return pb.ListVolumesResponse(
            volumes=[pb.Volume(id=f"v-{page}", name=f"n{9 - page}")],
            next_page_token=str(page + 1) if page < 2 else "",
        )

    script.answers["ListVolumes"] = pages
    assert ebb.ok("volume", "list", "--quiet").out == "v-2\nv-1\nv-0\n"  # by name
    assert [r.page_token for r in script.requests if isinstance(r, pb.ListVolumesRequest)] == [
        "", "1", "2",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "arguments",
    [
        ("--output", "json", "volume", "list"),
        ("volume", "list", "-o", "json"),
        ("-o", "wide", "volume", "list", "-o", "json"),
    ],
)
def test_global_options_go_anywhere(script: Script, ebb: Ebb, arguments: tuple[str, ...]) -> None:
    script.say("ListVolumes", pb.ListVolumesResponse(volumes=[VOLUME]))
    assert ebb.ok(*arguments).document["volumes"][0]["size_bytes"] == 2**30


def test_an_empty_list_is_an_empty_document_and_says_what_to_do(script: Script, ebb: Ebb) -> None:
    script.say("ListVolumes", pb.ListVolumesResponse())
    assert ebb.json("volume", "list") == {"volumes": []}
    outcome = ebb("volume", "list")
    assert (outcome.exit_code, outcome.out) == (0, "")
    assert "ebb volume create" in outcome.err


def test_create_asks_for_what_was_said(script: Script, ebb: Ebb) -> None:
    script.say("CreateVolume", pb.CreateVolumeResponse(volume=VOLUME, created=True))
    created = ebb.ok(
        "volume", "create", "db", "--size", "1.5Gi", "--filesystem", "xfs", "--pool", "ebb/pool",
        "-p", "priority=gold", "-p", "mkfs-options=-m reflink=1",
    )  # fmt: skip
    assert created.out == "Created volume db (v-1): 1Gi ext4 in ebb/pool\n"
    assert script.requests == [
        pb.CreateVolumeRequest(
            name="db",
            required_bytes=3 * 2**29,
            filesystem="xfs",
            parameters={
                "pool": "ebb/pool",
                "priority": "gold",
                "mkfs-options": "-m reflink=1",
            },
        )
    ]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("volume", "create", "db", "--size", "10GB"), "10GB"),
        (("volume", "create", "db", "--size", "-1"), "negative"),
        (("volume", "create", "db", "-p", "gold"), "KEY=VALUE"),
        (("volume", "create", "db", "--block", "--filesystem", "xfs"), "either --block"),
        (("volume", "modify", "db"), "--clear"),
        (("volume", "modify", "db", "iops=1", "--clear"), "--clear"),
        (("volume", "list", "--output", "yaml"), "yaml"),
        (("volume", "frobnicate"), "frobnicate"),
    ],
)
def test_what_makes_no_sense_is_refused_before_the_daemon_is_asked(
    script: Script, ebb: Ebb, arguments: tuple[str, ...], told: str
) -> None:
    outcome = ebb(*arguments)
    assert outcome.exit_code == 2
    assert told in outcome.err
    assert script.requests == []


def test_deleting_needs_consent_where_nobody_can_be_asked(script: Script, ebb: Ebb) -> None:
    script.say("GetVolume", VOLUME)
    script.say("DeleteVolume", pb.DeleteVolumeResponse(deleted=True))
    outcome = ebb("volume", "delete", "db")
    assert outcome.exit_code == 2
    assert "--yes" in outcome.err
    assert pb.DeleteVolumeRequest(volume_id="v-1") not in script.requests
    assert ebb.ok("volume", "delete", "db", "v-1", "--yes").out == "Deleted db\n"
    assert script.requests.count(pb.DeleteVolumeRequest(volume_id="v-1")) == 1


def test_nothing_is_deleted_unless_everything_is_found(script: Script, ebb: Ebb) -> None:
    def get(request: pb.GetVolumeRequest, context: grpc.ServicerContext) -> pb.Volume:
        if request.volume != "db":
            context.abort(grpc.StatusCode.NOT_FOUND, "there is no volume 'x'; look")
        return VOLUME

    script.answers["GetVolume"] = get
    script.say("DeleteVolume", pb.DeleteVolumeResponse(deleted=True))
    assert ebb("volume", "delete", "db", "x", "--yes").exit_code == 3
    assert not any(isinstance(it, pb.DeleteVolumeRequest) for it in script.requests)
    assert ebb.json("volume", "delete", "db", "x", "--yes", "--missing-ok") == {
        "volumes": [{"id": "v-1", "name": "db", "deleted": True}]
    }


def test_a_deletion_that_fails_on_the_way_says_what_is_gone(script: Script, ebb: Ebb) -> None:
    def delete(request: pb.DeleteVolumeRequest, context: grpc.ServicerContext) -> Message:
        if request.volume_id == "v-b":
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, "v-b is in use; unmount it")
        return pb.DeleteVolumeResponse(deleted=True)

    script.answers["GetVolume"] = lambda request, _: pb.Volume(
        id=f"v-{request.volume}", name=request.volume
    )
    script.answers["DeleteVolume"] = delete
    outcome = ebb("volume", "delete", "a", "b", "c", "--yes")
    assert outcome.exit_code == 7
    assert outcome.err == "Deleted before that: a\nError: v-b is in use\nNext:  unmount it\n"


def test_a_mount_that_fails_half_way_is_undone(script: Script, ebb: Ebb, tmp_path: Path) -> None:
    script.say("GetVolume", VOLUME)
    script.say("StageVolume", pb.StageVolumeResponse(device="/dev/x"))
    script.fail("PublishVolume", grpc.StatusCode.INVALID_ARGUMENT, "not allowed there; elsewhere")
    script.say("UnstageVolume", pb.UnstageVolumeResponse())
    outcome = ebb("volume", "mount", "db", str(tmp_path))
    assert outcome.exit_code == 2
    assert "not allowed there" in outcome.err
    assert script.requests[-1] == pb.UnstageVolumeRequest(
        volume_id="v-1", staging_path="/run/ebb/mounts/v-1"
    )


def test_a_volume_somebody_else_mounted_is_left_alone(script: Script, ebb: Ebb) -> None:
    kubelets = pb.Volume(id="v-1", name="db", filesystem="ext4", mount_paths=["/var/lib/kubelet/x"])
    script.say("GetVolume", kubelets)
    outcome = ebb("volume", "unmount", "db")
    assert outcome.exit_code == 7
    assert "/var/lib/kubelet/x" in outcome.err
    assert len(script.requests) == 1


def test_doctor_fails_when_a_check_fails(script: Script, ebb: Ebb) -> None:
    check = pb.Check(subject="kernel", name="release", status=pb.Check.WARNING, detail="old")
    script.say("Diagnose", pb.DiagnoseResponse(checks=[check]))
    assert ebb("doctor").exit_code == 0
    check.status = pb.Check.FAILED
    script.say("Diagnose", pb.DiagnoseResponse(checks=[check]))
    outcome = ebb("doctor", "--output", "json")
    assert outcome.exit_code == 1
    assert outcome.document["checks"][-1]["status"] == "FAILED"


def test_doctor_without_a_daemon_says_so_and_checks_the_way_to_it(ebb: Ebb, tmp_path: Path) -> None:
    outcome = ebb("doctor", "--socket", str(tmp_path / "none"), "--output", "json")
    assert outcome.exit_code == 1
    (socket,) = [it for it in outcome.document["checks"] if it["name"] == "socket"]
    assert socket["status"] == "FAILED"
    assert "ebbd does not run here" in socket["detail"]
    assert "systemctl start ebbd" in socket["remedy"]


def test_doctor_survives_a_daemon_that_cannot_diagnose(script: Script, ebb: Ebb) -> None:
    script.fail("Diagnose", grpc.StatusCode.INTERNAL, "lvm hangs; look at it")
    outcome = ebb("doctor")
    assert outcome.exit_code == 1
    assert "lvm hangs" in outcome.out


LOST = pb.Orphan(
    id="0011",
    kind="thin-device",
    subject="ebb/pool0#7",
    reason="no LV",
    action="delete 7",
    allocated_bytes=2**20,
)
KEPT = pb.Orphan(id="0022", kind="lv", subject="ebb/x", reason="newer", remedy="upgrade ebbd")


def test_gc_shows_and_changes_nothing(script: Script, ebb: Ebb) -> None:
    listed = pb.ListOrphansResponse(orphans=[LOST, KEPT], unlisted={"ebb/slow": "no thin_ls"})
    script.say("ListOrphans", listed)
    outcome = ebb("gc")
    assert outcome.exit_code == 0
    for told in ("ebb/pool0#7", "no LV", "1Mi", "delete 7", "ebb/x", "none: upgrade ebbd"):
        assert told in outcome.out
    assert "ebb/slow" in outcome.err
    assert "Nothing was removed" in outcome.err
    assert script.requests == [pb.ListOrphansRequest()]
    document = ebb("gc", "--output", "json").document
    assert [it["id"] for it in document["orphans"]] == ["0011", "0022"]
    assert document["unlisted"] == {"ebb/slow": "no thin_ls"}


def test_gc_with_nothing_to_show(script: Script, ebb: Ebb) -> None:
    script.say("ListOrphans", pb.ListOrphansResponse())
    outcome = ebb("gc")
    assert (outcome.exit_code, outcome.out) == (0, "")
    assert "no orphan" in outcome.err
    assert "no orphan" in ebb.ok("gc", "--remove", "--yes").out


def test_gc_removes_only_with_consent_and_only_what_has_an_action(script: Script, ebb: Ebb) -> None:
    script.say("ListOrphans", pb.ListOrphansResponse(orphans=[LOST, KEPT]))
    script.say("RemoveOrphan", pb.RemoveOrphanResponse(orphan=LOST))
    for arguments in (["--remove"], ["--yes"]):
        outcome = ebb("gc", *arguments)
        assert outcome.exit_code == 2, "nobody to ask, or nothing asked for"
    assert not [r for r in script.requests if isinstance(r, pb.RemoveOrphanRequest)]
    document = ebb("gc", "--remove", "--yes", "--output", "json").document
    assert [r for r in script.requests if isinstance(r, pb.RemoveOrphanRequest)] == [
        pb.RemoveOrphanRequest(orphan_id="0011")
    ]
    assert [it["outcome"] for it in document["orphans"]] == ["removed", "kept"]


def test_gc_goes_on_past_a_refusal_and_says_so(script: Script, ebb: Ebb) -> None:
    other = pb.Orphan(id="0033", kind="mount", subject="/m", reason="stale", action="umount /m")
    script.say("ListOrphans", pb.ListOrphansResponse(orphans=[other, LOST]))

    def answer(request: pb.RemoveOrphanRequest, context: grpc.ServicerContext) -> object:
        if request.orphan_id == "0033":
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, "in use by 77; stop it")
        return pb.RemoveOrphanResponse(orphan=LOST)

    script.answers["RemoveOrphan"] = answer  # type: ignore[assignment] # an answer, or an abort
    outcome = ebb("gc", "--remove", "--yes")
    assert outcome.exit_code == 1
    assert "Removed 1 of 2" in outcome.out
    assert "in use by 77; stop it" in outcome.err
    script.fail("RemoveOrphan", grpc.StatusCode.UNAVAILABLE, "the VG is gone; bring it back")
    assert ebb("gc", "--remove", "--yes").exit_code == 5


def test_adopting_and_releasing_say_what_became_of_it(script: Script, ebb: Ebb) -> None:
    volume = pb.Volume(id="v-1", name="db", size_bytes=2**30, filesystem="xfs")
    script.say("GetVolume", volume)
    for adopted, told in ((True, "is now volume db"), (False, "is volume db already")):
        script.say("AdoptVolume", pb.AdoptVolumeResponse(volume=volume, adopted=adopted))
        outcome = ebb.ok("volume", "adopt", "ebb/data", "--name", "db")
        assert told in outcome.out
        assert "1Gi xfs" in outcome.out
    assert script.requests[-1] == pb.AdoptVolumeRequest(lv="ebb/data", name="db")
    for released, told in ((True, "without ebb again"), (False, "gone already")):
        script.say("ReleaseVolume", pb.ReleaseVolumeResponse(released=released))
        assert told in ebb.ok("volume", "release", "db").out
