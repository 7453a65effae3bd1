"""ebbd, the daemon: `ebbd --config FILE`, or `ebbd --simulate` on any machine."""

import argparse
import asyncio
import fcntl
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import structlog
from pydantic_core import PydanticCustomError

from ebbd import __version__
from ebbd.app import migrate_tags, run
from ebbd.config import Config, load_config
from ebbd.config.values import node_id
from ebbd.errors import EbbError, Unavailable
from ebbd.host.protocols import Host
from ebbd.notify import ServiceManager

DEFAULT_CONFIG = Path("/etc/ebb/ebbd.yaml")
EXIT_FAILED = 1


def _log(config: Config) -> structlog.stdlib.BoundLogger:
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer()
        if config.log.format == "json"
        else structlog.dev.ConsoleRenderer()
    )
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(
            logging.getLevelNamesMapping()[config.log.level.upper()]
        ),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    logger: structlog.stdlib.BoundLogger = structlog.get_logger("ebbd")
    return logger


@contextmanager
def _only_one(run_directory: str) -> Iterator[None]:
    """Two daemons would fight over one pool: the second is refused while the first lives."""
    directory = Path(run_directory)
    directory.mkdir(parents=True, exist_ok=True, mode=0o755)
    with (directory / "ebbd.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as held:
            raise Unavailable(
                f"another ebbd runs with {run_directory}",
                "stop it first, or give this one a run_directory, pools and socket of its own",
            ) from held
        yield


def _node_id(given: str) -> str:
    try:
        return node_id(given)
    except PydanticCustomError as refused:
        raise argparse.ArgumentTypeError(refused.message()) from refused


def arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="ebbd", description="The daemon that owns this node's thin pools."
    )
    parser.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        help=f"the configuration (default: {DEFAULT_CONFIG} if there, else built-in values)",
    )
    parser.add_argument(
        "--simulate", action="store_true", help="keep everything in memory; touch no device"
    )
    parser.add_argument("--socket", metavar="PATH", help="listen here instead of api.socket")
    parser.add_argument(
        "--node-id",
        type=_node_id,
        metavar="ID",
        help="what the CO calls this node, instead of node.id: one file then serves every node",
    )
    parser.add_argument(
        "--migrate-tags",
        type=int,
        metavar="SCHEMA",
        help="make the tags readable by an ebbd of this schema, say what was done, and end",
    )
    parser.add_argument("--version", action="version", version=f"ebbd {__version__}")
    return parser


def _configure(given: argparse.Namespace) -> Config:
    """The file's configuration, with what the command line says in its stead."""
    file: Path | None = given.config
    if file is None and DEFAULT_CONFIG.exists():
        file = DEFAULT_CONFIG
    config = load_config(file)
    if given.socket is not None:
        api = config.api.model_copy(update={"socket": given.socket})
        config = config.model_copy(update={"api": api})
    if given.node_id is not None:
        node = config.node.model_copy(update={"id": given.node_id})
        config = config.model_copy(update={"node": node})
    return config


# Each house is imported only where it is used: start-up counts on a slow machine.
def _simulated_host(config: Config) -> Host:
    from ebbd.host.simulated.build import make_host  # noqa: PLC0415 - see above

    return make_host(allowed_directories=config.mounts.allowed_directories)


def _real_host(config: Config) -> Host:
    from ebbd.host.real.build import make_host  # noqa: PLC0415 - see above

    return make_host(
        run_directory=config.run_directory,
        prefix=config.lvm.prefix,
        deadline_s=config.lvm.deadline_s,
    )


async def _work(
    config: Config,
    host: Host,
    log: structlog.stdlib.BoundLogger,
    manager: ServiceManager,
    schema: int | None,
) -> None:
    if schema is None:
        await run(config, host, log, manager)
    else:
        await migrate_tags(config, host, log, schema)


def main() -> int:
    """Run until told to stop; 1 and one line on stderr when that is not possible."""
    given = arguments().parse_args()
    manager = ServiceManager.of(os.environ)
    try:
        config = _configure(given)
        log = _log(config)
        if given.simulate:
            asyncio.run(_work(config, _simulated_host(config), log, manager, given.migrate_tags))
        else:
            with _only_one(config.run_directory):
                asyncio.run(_work(config, _real_host(config), log, manager, given.migrate_tags))
    except EbbError as error:
        sys.stderr.write(f"ebbd: {error}\n")
        return EXIT_FAILED
    except OSError as refused:
        sys.stderr.write(
            f"ebbd: {refused}; start it as root, or give it a run_directory, a socket and "
            "allowed_directories that it may make (--config)\n"
        )
        return EXIT_FAILED
    return 0


if __name__ == "__main__":
    sys.exit(main())
