"""`ebb certs init`: what it makes works in a real handshake, and nothing is ever written over."""

import asyncio
import json
import re
import ssl
import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509
from ebb_cli.app import build
from ebb_cli.commands.certs import parse
from ebb_cli.failures import CliError, ExitCode
from ebb_pb.identities import ANY_NODE
from typer.testing import CliRunner, Result


def certs(*arguments: str) -> Result:
    return CliRunner().invoke(build(), ["certs", "init", *arguments])


def made(directory: Path, *arguments: str) -> dict[str, datetime]:
    done = certs(str(directory), "-o", "json", *arguments)
    assert done.exit_code == 0, done.stderr
    return {
        one["name"]: datetime.fromisoformat(one["ends"])
        for one in json.loads(done.stdout)["certificates"]
    }


def contents(directory: Path) -> dict[str, bytes]:
    files = (path for path in directory.rglob("*") if path.is_file())
    return {str(path.relative_to(directory)): path.read_bytes() for path in files}


async def handshake(directory: Path, node: str, client: str, name: str) -> set[str]:
    """A TLS connection both of whose ends ask for a certificate; what the server saw of the client.

    Raises what the client or the server raised.
    """
    ca = str(directory / "ca.crt")
    serving = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=ca)
    serving.verify_mode = ssl.CERT_REQUIRED
    serving.load_cert_chain(directory / f"nodes/{node}.crt", directory / f"nodes/{node}.key")
    asking = ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cafile=ca)
    asking.load_cert_chain(directory / f"{client}.crt", directory / f"{client}.key")
    seen: asyncio.Future[set[str]] = asyncio.get_running_loop().create_future()

    def accept(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        certificate = writer.get_extra_info("peercert")
        seen.set_result({value for _, value in certificate["subjectAltName"]})
        writer.close()

    server = await asyncio.start_server(accept, "127.0.0.1", 0, ssl=serving)
    async with server:
        port = server.sockets[0].getsockname()[1]
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", port, ssl=asking, server_hostname=name
        )
        try:
            await reader.read()  # a refusal of the client's certificate arrives here
            return seen.result()
        finally:
            writer.close()


async def test_what_is_made_shakes_hands(tmp_path: Path) -> None:
    made(tmp_path / "c", "--node", "worker-1=10.0.0.11,worker-1.lan,fd00::1", "--node", "w.2_x")
    for name in ("worker-1", "worker-1.lan", "10.0.0.11", "fd00::1", ANY_NODE):
        seen = await handshake(tmp_path / "c", "worker-1", "clients/controller", name)
        assert seen == {"ebb:///rights/change"}
    assert await handshake(tmp_path / "c", "w.2_x", "clients/reader", "w.2_x") == {
        "ebb:///rights/stats"
    }


async def test_a_nodes_certificate_is_nobody_elses_and_no_clients(tmp_path: Path) -> None:
    made(tmp_path / "c", "--node", "a", "--node", "b")
    with pytest.raises(ssl.SSLCertVerificationError, match="not valid for 'b'"):
        await handshake(tmp_path / "c", "a", "clients/controller", "b")
    with pytest.raises((ssl.SSLError, ConnectionResetError, asyncio.InvalidStateError)):
        await handshake(tmp_path / "c", "a", "nodes/b", "a")


def test_keys_are_for_their_owner_only(tmp_path: Path) -> None:
    directory = tmp_path / "deep" / "c"
    made(directory, "--node", "a")
    keys = sorted(directory.rglob("*.key"))
    assert [str(key.relative_to(directory)) for key in keys] == [
        "ca.key",
        "clients/controller.key",
        "clients/reader.key",
        "nodes/a.key",
    ]
    for path in (*keys, directory, directory / "nodes"):
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path


@pytest.mark.parametrize("there", ["ca.crt", "ca.key", "nodes/a.key", "clients/reader.crt"])
def test_nothing_that_is_there_is_written_over(tmp_path: Path, there: str) -> None:
    (tmp_path / there).parent.mkdir(exist_ok=True)
    (tmp_path / there).write_text("precious")
    done = certs(str(tmp_path), "--node", "a")
    assert done.exit_code == ExitCode.CONFLICT
    assert f"{there} is there already" in done.stderr
    assert "--renew" in done.stderr
    assert contents(tmp_path) == {there: b"precious"}


async def test_renewal_keeps_the_ca_and_the_names_and_makes_new_keys(tmp_path: Path) -> None:
    first = made(tmp_path, "--node", "a=a.lan", "--node", "b", "--days", "3")
    before = contents(tmp_path)
    second = made(tmp_path, "--renew", "--days", "9")
    after = contents(tmp_path)
    assert second.keys() == first.keys() - {"ca"}
    assert all((second[name] - first[name]).days == 6 for name in second)
    assert {name for name in before if before[name] == after[name]} == {"ca.crt", "ca.key"}
    assert before.keys() == after.keys()
    await handshake(tmp_path, "a", "clients/controller", "a.lan")


async def test_renewal_for_named_nodes_leaves_the_others_and_takes_new_ones(
    tmp_path: Path,
) -> None:
    made(tmp_path, "--node", "a", "--node", "b")
    before = contents(tmp_path)
    assert made(tmp_path, "--renew", "--node", "b=b.lan", "--node", "c").keys() == {
        "nodes/b",
        "nodes/c",
    }
    after = contents(tmp_path)
    assert {name for name in before if before[name] != after[name]} == {
        "nodes/b.crt",
        "nodes/b.key",
    }
    for node, name in (("b", "b.lan"), ("c", "c"), ("a", "a")):
        await handshake(tmp_path, node, "clients/controller", name)


def test_the_ca_may_sign_certificates_and_no_further_ca(tmp_path: Path) -> None:
    ends = made(tmp_path, "--node", "a", "--days", "10", "--ca-days", "20")
    assert 18 <= (ends["ca"] - datetime.now(UTC)).days <= 20
    ca = x509.load_pem_x509_certificate((tmp_path / "ca.crt").read_bytes())
    constraints = ca.extensions.get_extension_for_class(x509.BasicConstraints)
    assert constraints.critical
    assert constraints.value == x509.BasicConstraints(ca=True, path_length=0)


def test_errors_say_what_to_do(tmp_path: Path) -> None:
    for arguments, code, told in (
        ((), ExitCode.USAGE, "name each with --node ID"),
        (("--node", "a", "--days", "30", "--ca-days", "9"), ExitCode.USAGE, "outlive their CA"),
        (("--renew",), ExitCode.NOT_FOUND, "ca.crt to issue from"),
    ):
        done = certs(str(tmp_path / "c"), *arguments)
        assert (done.exit_code, told in done.stderr) == (code, True), done.stderr
    assert not (tmp_path / "c").exists()
    made(tmp_path / "c", "--node", "a", "--days", "9", "--ca-days", "9")
    done = certs(str(tmp_path / "c"), "--renew", "--days", "30")
    assert (done.exit_code, "The CA ends on" in done.stderr or "the CA ends on" in done.stderr) == (
        ExitCode.FAILED,
        True,
    )
    (tmp_path / "c" / "ca.key").write_bytes((tmp_path / "c" / "nodes/a.key").read_bytes())
    done = certs(str(tmp_path / "c"), "--renew", "--days", "1")
    assert "do not belong together" in done.stderr
    (tmp_path / "file").write_text("")
    done = certs(str(tmp_path / "file" / "c"), "--node", "a")
    assert "name a directory that you may write to" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "text", ["", "=h", "-a", "a-", "a" * 64, "ä", "a b", "*", "a=h:1 x", "a=*"]
)
def test_a_node_that_no_certificate_can_name_is_refused(text: str) -> None:
    with pytest.raises(CliError) as refused:
        parse([text])
    assert refused.value.exit_code is ExitCode.USAGE
    assert refused.value.remedy


def test_a_node_named_twice_is_refused() -> None:
    with pytest.raises(CliError, match="named twice"):
        parse(["a", "a=h"])


def test_people_are_told_where_each_file_belongs(tmp_path: Path) -> None:
    told = certs(str(tmp_path), "--node", "a").stdout
    for name, place in (
        ("ca.crt", "client_ca of every node"),
        ("ca.key", "stays here"),
        ("nodes/a", "api.listen on node a"),
        ("clients/controller", "ebb-csi"),
        ("clients/reader", "look"),
    ):
        assert re.search(rf"{re.escape(name)}.*{place}", told), told
