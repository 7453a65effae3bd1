"""Where nodes are: the file's form, its settling, and DNS."""

from pathlib import Path

import pytest
from ebb_csi.places import FromDns, FromFile, Place, PlacesError, parse


def test_a_line_is_a_node() -> None:
    text = '# ours\nworker-1: 10.0.0.11:7443\n"7": worker-7.lan:1\nw.8: "[fd00::8]:65535"\n'
    assert parse(text, "f") == (
        Place("10.0.0.11:7443", "worker-1"),
        Place("worker-7.lan:1", "7"),
        Place("[fd00::8]:65535", "w.8"),
    )


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "f names no node; write a line"),
        ("{}", "f names no node"),
        ("- a: b:1", "f names no node"),
        ("worker-1", "f names no node"),
        ("a: {", "f is not YAML"),
        ("a: x:1\na: y:1\n", "f is not YAML"),
        ("7: x:1", "7 is not a node id; put it in quotes"),
        ('"": x:1', "'' is not a node id"),
        ("a: 7443", "a: 7443 is not HOST:PORT"),
        ("a: x", "a: 'x' is not HOST:PORT"),
        ("a: x:0", "is not HOST:PORT"),
        ("a: x:65536", "is not HOST:PORT"),
        ("a: fd00::8:1", "is not HOST:PORT"),
        ("a: x:1\nb: x:1", "an address twice"),
    ],
)
def test_what_is_wrong_is_told(text: str, told: str) -> None:
    with pytest.raises(PlacesError) as wrong:
        parse(text, "f")
    assert told in str(wrong.value)


async def test_a_change_counts_when_it_was_seen_twice(tmp_path: Path) -> None:
    file = tmp_path / "nodes.yaml"
    places = FromFile(file)
    with pytest.raises(PlacesError, match="cannot be read"):
        await places.look()
    both = "a: x:1\nb: y:1\n"
    file.write_text(both)
    assert {place.node_id for place in await places.look()} == {"a", "b"}
    file.write_text(both[:7])  # half written
    assert {place.node_id for place in await places.look()} == {"a", "b"}
    file.write_text("a: x:1\nc: z:1\n")
    assert {place.node_id for place in await places.look()} == {"a", "b"}
    assert {place.node_id for place in await places.look()} == {"a", "c"}
    file.write_bytes(b"\xff")
    with pytest.raises(PlacesError, match="cannot be read"):
        await places.look()
    assert places.complete


async def test_a_name_gives_all_its_addresses_and_is_never_complete() -> None:
    places = FromDns("127.0.0.1:7443")
    assert await places.look() == (Place("127.0.0.1:7443"),)
    assert await FromDns("[::1]:7443").look() == (Place("[::1]:7443"),)
    assert not places.complete
    with pytest.raises(PlacesError, match=r"no-such-host\.invalid cannot be resolved"):
        await FromDns("no-such-host.invalid:1").look()


@pytest.mark.parametrize("text", ["", "name", "name:", ":1", "name:0", "a b:1"])
def test_what_is_no_name_and_port_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not NAME:PORT"):
        FromDns(text)
