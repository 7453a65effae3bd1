"""Thin sharing against a model that knows nothing of blocks: every write is a fresh token."""

import pytest
from ebbd.host.simulated.pool import OutOfDataSpaceError, ThinStore
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

BLOCKS = 12
DEVICES = st.integers(0, 3)
CHUNKS = st.integers(0, 5)


class Sharing(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.store = ThinStore(BLOCKS)
        self.model: dict[int, dict[int, object]] = {}

    def tokens(self) -> list[object]:
        return [token for mapping in self.model.values() for token in mapping.values()]

    @rule(device=DEVICES)
    def create(self, device: int) -> None:
        if device in self.model:
            with pytest.raises(FileExistsError):
                self.store.create(device)
            return
        self.store.create(device)
        self.model[device] = {}

    @precondition(lambda self: self.model)
    @rule(data=st.data(), device=DEVICES)
    def snapshot(self, data: st.DataObject, device: int) -> None:
        origin = data.draw(st.sampled_from(sorted(self.model)))
        if device in self.model:
            with pytest.raises(FileExistsError):
                self.store.snapshot(origin, device)
            return
        self.store.snapshot(origin, device)
        self.model[device] = dict(self.model[origin])

    @precondition(lambda self: self.model)
    @rule(data=st.data())
    def delete(self, data: st.DataObject) -> None:
        device = data.draw(st.sampled_from(sorted(self.model)))
        self.store.delete(device)
        del self.model[device]

    @precondition(lambda self: self.model)
    @rule(data=st.data(), chunk=CHUNKS)
    def write(self, data: st.DataObject, chunk: int) -> None:
        device = data.draw(st.sampled_from(sorted(self.model)))
        held = self.model[device].get(chunk)
        in_place = held is not None and self.tokens().count(held) == 1
        token = object()
        if not in_place and len(set(self.tokens())) == BLOCKS:
            with pytest.raises(OutOfDataSpaceError):
                self.store.write(device, chunk, 1, token)
            return
        self.store.write(device, chunk, 1, token)
        self.model[device][chunk] = token

    @precondition(lambda self: self.model)
    @rule(data=st.data(), first=CHUNKS, count=st.integers(0, 6))
    def discard(self, data: st.DataObject, first: int, count: int) -> None:
        device = data.draw(st.sampled_from(sorted(self.model)))
        gone = [c for c in range(first, first + count) if c in self.model[device]]
        assert self.store.discard(device, first, count) == len(gone)
        for chunk in gone:
            del self.model[device][chunk]

    @invariant()
    def every_chunk_reads_as_it_was_written(self) -> None:
        assert self.store.devices == frozenset(self.model)
        for device, mapping in self.model.items():
            assert [self.store.read(device, c) for c in range(12)] == [
                mapping.get(c) for c in range(12)
            ]

    @invariant()
    def blocks_are_counted_once_however_often_shared(self) -> None:
        tokens = self.tokens()
        assert self.store.used == len(set(tokens))
        assert self.store.mappings == len(tokens)
        for device, mapping in self.model.items():
            assert self.store.mapped(device) == len(mapping)
            assert self.store.exclusive(device) == sum(
                tokens.count(token) == 1 for token in mapping.values()
            )


TestSharing = Sharing.TestCase
TestSharing.settings = settings(max_examples=60, stateful_step_count=30)


def test_a_write_that_fails_half_way_has_written_the_first_half() -> None:
    store = ThinStore(2)
    store.create(1)
    with pytest.raises(OutOfDataSpaceError):
        store.write(1, 0, 3, "x")
    assert [store.read(1, chunk) for chunk in range(3)] == ["x", "x", None]


def test_the_whole_pool_can_be_used_again_after_deletion() -> None:
    store = ThinStore(3)
    for device in range(5):
        store.create(device)
        store.write(device, 0, 3, device)
        store.delete(device)
    assert store.used == 0
