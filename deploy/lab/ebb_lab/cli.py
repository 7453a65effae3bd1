"""The lab from a terminal: run a command in it, get a shell, build the image beforehand."""

import argparse
import asyncio
import sys
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path

from ebb_lab import console, figures
from ebb_lab.cache import Cache, default_root
from ebb_lab.errors import LabError, LabTimeout
from ebb_lab.images import held_images
from ebb_lab.lab import Lab
from ebb_lab.model import parse_disk, parse_forward
from ebb_lab.progress import Progress

EXIT_LAB_FAILED = 125  # the lab's own failure, as `timeout` and `docker run` have it
EXIT_TIMEOUT = 124
EXIT_INTERRUPTED = 130


def main(argv: Sequence[str] | None = None) -> int:
    arguments = _parser().parse_args(argv)
    try:
        return asyncio.run(_COMMANDS[arguments.command](arguments))
    except LabError as failure:
        Progress.on_stderr().say(str(failure))
        return EXIT_TIMEOUT if isinstance(failure, LabTimeout) else EXIT_LAB_FAILED
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED


async def _run(arguments: argparse.Namespace) -> int:
    command = arguments.argv[1:] if arguments.argv[:1] == ["--"] else arguments.argv
    if not command:
        raise LabError("no command: python -m ebb_lab run -- COMMAND...")
    async with _lab(arguments) as lab:
        await _copy_in(lab, arguments.put)
        terminal = arguments.terminal and sys.stdout.isatty()
        code = await lab.attach(command, terminal=terminal, timeout_s=arguments.timeout)
        await lab.fetch_results()
        return code


async def _shell(arguments: argparse.Namespace) -> int:
    async with _lab(arguments) as lab:
        await _copy_in(lab, arguments.put)
        terminal = sys.stdin.isatty()
        if terminal:
            Progress.on_stderr().say("this shell is in the lab; leaving it ends the lab")
        code = await lab.attach(["bash", "-l"], terminal=terminal, timeout_s=None)
        await lab.fetch_results()
        return code


async def _console(arguments: argparse.Namespace) -> int:
    Progress.on_stderr().say("Ctrl-] ends the lab")
    async with _lab(arguments, console.show) as lab:
        await _copy_in(lab, arguments.put)
        await console.relay(lab)
    return 0


async def _build(_: argparse.Namespace) -> int:
    progress = Progress.on_stderr()
    cache = Cache(default_root())
    async with held_images(cache, _project(), progress) as images:
        progress.say(f"ready: {images.image.root_disk.parent}")
    return 0


async def _bench(arguments: argparse.Namespace) -> int:
    progress = Progress.on_stderr()
    measured = await figures.measure(progress)
    figures.write_json(measured, arguments.json)
    sys.stdout.write(f"{figures.table(measured)}\n")
    progress.say(f"also in {arguments.json}")
    return 0


def _lab(arguments: argparse.Namespace, show: Callable[[bytes], None] | None = None) -> Lab:
    return Lab(
        disks=[parse_disk(text) for text in arguments.disk],
        forwards=[parse_forward(text) for text in arguments.forward],
        cpus=arguments.cpus,
        memory_mib=arguments.memory,
        ebbd=arguments.ebbd,
        console=show,
        results=arguments.results,
        progress=Progress.on_stderr(),
    )


async def _copy_in(lab: Lab, wanted: Sequence[str]) -> None:
    for local, remote in map(_parse_put, wanted):
        await lab.put(local, remote)


def _parse_put(text: str) -> tuple[Path, str]:
    local, colon, remote = text.rpartition(":")
    if not colon or not Path(local).exists():
        raise LabError(f"--put {text!r}: write HERE:THERE, the first a path that exists here")
    return Path(local), remote


def _project() -> Path:
    return Path(__file__).resolve().parents[3]


_COMMANDS: dict[str, Callable[[argparse.Namespace], Coroutine[None, None, int]]] = {
    "run": _run,
    "shell": _shell,
    "console": _console,
    "build": _build,
    "bench": _bench,
}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m ebb_lab", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("build", help="make or refresh the cached image, then end")
    bench = commands.add_parser("bench", help="time boots and commands on this machine")
    bench.add_argument("--json", type=Path, default=Path("build/bench/lab.json"), metavar="FILE")
    run = commands.add_parser(
        "run", help="boot a lab, run one command in it, end with its exit code"
    )
    run.add_argument(
        "--timeout",
        type=float,
        metavar="S",
        help="end the lab if the command takes longer (seconds)",
    )
    run.add_argument(
        "--terminal", action="store_true", help="give the command this terminal, if there is one"
    )
    run.add_argument("argv", nargs=argparse.REMAINDER, metavar="-- COMMAND...")
    shell = commands.add_parser("shell", help="boot a lab and get a shell in it")
    serial = commands.add_parser("console", help="boot a lab with its serial console shown here")
    for command in (run, shell, serial):
        option = command.add_argument
        option("--disk", action="append", default=[], metavar="NAME:SIZE[,iops=N][,bps=N]")
        option("--forward", action="append", default=[], metavar="HOST:GUEST", help="TCP ports")
        option(
            "--put", action="append", default=[], metavar="HERE:THERE", help="copy in beforehand"
        )
        option("--ebbd", action="store_true", help="with ebbd running, on a pool in a loop file")
        option("--results", type=Path, metavar="DIR", help="bring the guest's /results here")
        option("--cpus", type=int, default=2)
        option("--memory", type=int, default=2048, metavar="MIB")
    return parser
