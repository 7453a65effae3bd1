import pytest
from ebb_setup import needs

QEMU, SSH, KEYGEN = (
    needs.Need("qemu-system-x86_64", "qemu-system-x86", "runs the lab"),
    needs.Need("ssh", "openssh-client", "runs commands in the lab"),
    needs.Need("ssh-keygen", "openssh-client", "makes the lab's keys"),
)
MISSING = (QEMU, SSH, KEYGEN)


def test_nothing_missing_is_nothing_to_do() -> None:
    ready = needs.plan((), has_apt=False, as_root=False, has_sudo=False)
    assert ready == needs.Ready()


def test_root_installs_each_package_once_without_recommends() -> None:
    install = needs.plan(MISSING, has_apt=True, as_root=True, has_sudo=False)
    assert install == needs.Install(
        ("qemu-system-x86", "openssh-client"),
        (
            ("apt-get", "update"),
            *[
                (
                    *("apt-get", "install", "-y", "--no-install-recommends"),
                    *("qemu-system-x86", "openssh-client"),
                )
            ],
        ),
    )


def test_sudo_that_asks_nothing_is_used() -> None:
    install = needs.plan(MISSING, has_apt=True, as_root=False, has_sudo=True)
    assert isinstance(install, needs.Install)
    assert all(command[:3] == ("sudo", "-n", "apt-get") for command in install.commands)


def test_without_root_everything_missing_is_named_with_the_command_that_gets_it() -> None:
    refuse = needs.plan(MISSING, has_apt=True, as_root=False, has_sudo=False)
    assert isinstance(refuse, needs.Refuse)
    for need in MISSING:
        assert need.probe in refuse.message
        assert need.purpose in refuse.message
    assert (
        "sudo apt-get install -y --no-install-recommends qemu-system-x86 openssh-client"
        in refuse.message
    )


@pytest.mark.parametrize("as_root", [True, False])
def test_without_apt_nothing_is_run(as_root: bool) -> None:
    refuse = needs.plan(MISSING, has_apt=False, as_root=as_root, has_sudo=True)
    assert isinstance(refuse, needs.Refuse)
    assert "There is no apt here" in refuse.message
    assert "qemu-system-x86 openssh-client" in refuse.message


def test_building_without_root_needs_more() -> None:
    as_root = needs.needs_of(("lab",), as_root=True)
    as_user = needs.needs_of(("lab",), as_root=False)
    assert {need.package for need in as_user} - {need.package for need in as_root} == {
        "fakeroot",
        "uidmap",
    }
    assert needs.needs_of(("venv",), as_root=False) == needs.VENV


def test_the_units_are_checked_by_a_program_that_a_fresh_debian_may_lack() -> None:
    [need] = needs.needs_of(("units",), as_root=False)
    assert (need.probe, need.package) == ("systemd-analyze", "systemd")


def test_what_is_there_is_not_missing() -> None:
    assert needs.missing_of(MISSING, lambda probe: probe.startswith("ssh")) == (QEMU,)
