import re
from pathlib import Path

import pytest
from ebbd.errors import InvalidInput
from ebbd.host.real.lvm_config import configuration, write
from ebbd.host.real.text_format import Section, parse


def section(text: str, name: str) -> Section:
    found = parse(text)[name]
    assert isinstance(found, dict)
    return found


def accepts(text: str, device: str) -> bool:
    """LVM's rule: the first pattern that matches decides."""
    filters = section(text, "devices")["global_filter"]
    assert isinstance(filters, list)
    for each in filters:
        rule = str(each)
        if re.search(rule[2:-1], device):
            return rule[0] == "a"
    raise AssertionError("no rule matches")


def test_only_our_devices_are_accepted() -> None:
    text = configuration(["/dev/vdb", "/dev/disk/by-id/virtio-a.b+c"])
    assert accepts(text, "/dev/vdb")
    assert accepts(text, "/dev/disk/by-id/virtio-a.b+c")
    for other in (
        "/dev/vdb1",
        "/dev/xvdb",
        "/dev/sda",
        "/dev/disk/by-id/virtio-aXb+c",
        "/dev/dm-0",
    ):
        assert not accepts(text, other)
    assert not accepts(configuration([]), "/dev/vdb")


@pytest.mark.parametrize(
    "bad", ["vdb", "/dev/a|b", '/dev/a"b', "/dev/a b", "/etc/passwd", "/dev/a\\"]
)
def test_a_path_that_could_mean_more_is_refused(bad: str) -> None:
    with pytest.raises(InvalidInput):
        configuration([bad])


def test_answers_come_as_json_with_a_return_code() -> None:
    text = configuration(["/dev/vdb"])
    assert section(text, "log") == {"report_command_log": 1, "command_log_selection": "all"}
    assert section(text, "report") == {"output_format": "json"}


def test_locking_stays_the_machines() -> None:
    assert "locking" not in configuration(["/dev/vdb"])


def test_a_group_of_a_named_system() -> None:
    text = configuration(["/dev/vdb"], "node-1")
    assert section(text, "local") == {"system_id": "node-1"}
    assert section(text, "global")["system_id_source"] == "lvmlocal"
    assert "local" not in parse(configuration(["/dev/vdb"]))
    with pytest.raises(InvalidInput):
        configuration(["/dev/vdb"], 'a"b')


def test_the_file_is_replaced_as_a_whole(tmp_path: Path) -> None:
    folder = tmp_path / "run" / "lvm"
    write(folder, "first")
    write(folder, "second")
    assert [path.name for path in folder.iterdir()] == ["lvm.conf"]
    assert (folder / "lvm.conf").read_text(encoding="ascii") == "second"
    assert folder.stat().st_mode & 0o777 == 0o700
