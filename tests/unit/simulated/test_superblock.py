from ebbd.host.simulated.superblock import Superblock
from hypothesis import given
from hypothesis import strategies as st

CHUNK = 64 * 1024
EMPTY = Superblock("ext4", "uuid", 20 * CHUNK, CHUNK, metadata_chunks=3)
CHANGES = st.lists(
    st.tuples(st.sampled_from("abcd"), st.one_of(st.none(), st.integers(0, 12 * CHUNK))),
    max_size=12,
)


@given(CHANGES)
def test_files_never_overlap_and_nothing_is_lost(changes: list[tuple[str, int | None]]) -> None:
    block = EMPTY
    for name, size_bytes in changes:
        if size_bytes is None:
            block = block.without_file(name)
            continue
        grown = block.with_file(name, size_bytes, name)
        if grown is None:
            room = sum(count for _, count in block.without_file(name).free_runs())
            assert size_bytes > room * CHUNK
        else:
            block = grown
            file = block.file(name)
            assert file is not None
            assert sum(count for _, count in file.runs) == -(-size_bytes // CHUNK)
    used = [c for _, f in block.files for first, n in f.runs for c in range(first, first + n)]
    free = [c for first, n in block.free_runs() for c in range(first, first + n)]
    assert sorted([*range(3), *used, *free]) == list(range(20))
