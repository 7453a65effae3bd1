"""The controller's files are taken as a whole or not at all."""

from pathlib import Path

import pytest
from ebb_csi.credentials import CredentialsError, TlsFiles, read
from tls_site import Site


def files_of(site: Site) -> TlsFiles:
    made = site.client("change")
    return TlsFiles(made.certificate, made.key, site.ca_file)


def test_a_pair_and_its_ca_are_read(tmp_path: Path) -> None:
    files = files_of(Site(tmp_path))
    found = read(files)
    assert found == read(files)
    assert found.key == files.key.read_bytes()


@pytest.mark.parametrize("name", ["certificate", "key", "ca"])
def test_a_file_that_is_missing_or_nonsense_is_told(tmp_path: Path, name: str) -> None:
    files = files_of(Site(tmp_path))
    broken: Path = getattr(files, name)
    broken.write_text("nonsense")
    with pytest.raises(CredentialsError, match="not a certificate, a key without a password"):
        read(files)
    broken.unlink()
    with pytest.raises(CredentialsError, match=f"{broken.name} cannot be read.*ebb certs init"):
        read(files)


def test_two_halves_of_two_pairs_are_no_pair(tmp_path: Path) -> None:
    site = Site(tmp_path)
    files, other = files_of(site), site.client("stats")
    with pytest.raises(CredentialsError, match="do not belong together"):
        read(TlsFiles(files.certificate, other.key, files.ca))
