"""The three cached disks a lab boots from, made when their inputs changed and held while in use.

root           Debian packages            -> minutes, seldom
dependencies   the guest's Python packages -> tens of seconds, when pyproject.toml's lists change
source         the project's files         -> a second, whenever one of them changed
"""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from ebb_lab import dependencies, source
from ebb_lab.cache import Cache
from ebb_lab.errors import LabError
from ebb_lab.image import Image, build_image, image_key
from ebb_lab.progress import Progress

_HOUR_S = 3600.0
_WEEK_S = 7 * 24 * _HOUR_S


@dataclass(frozen=True, slots=True)
class Images:
    image: Image
    dependencies: Path
    source: Path


@asynccontextmanager
async def held_images(cache: Cache, project: Path, progress: Progress) -> AsyncIterator[Images]:
    lab_folder = project / "deploy" / "lab"
    if not (lab_folder / "assemble.sh").exists() or not (project / "pyproject.toml").exists():
        raise LabError(
            f"{project} is not ebb's source tree: a lab is started from a checkout of it"
        )
    root_key = image_key(lab_folder)
    wanted = dependencies.read_requirements(project)
    files = await source.list_files(project)
    async with AsyncExitStack() as held:
        root = await held.enter_async_context(
            cache.entry(
                "image",
                root_key,
                lambda into: build_image(into, lab_folder, progress),
                progress,
                forget_after_s=_WEEK_S,
            )
        )
        image = Image(root, lab_folder)
        deps = await held.enter_async_context(
            cache.entry(
                "deps",
                dependencies.dependencies_key(root_key, wanted),
                lambda into: dependencies.build_dependencies(into, image, wanted, progress),
                progress,
                forget_after_s=_WEEK_S,
            )
        )
        tree = await held.enter_async_context(
            cache.entry(
                "source",
                source.source_key(root_key, project, files),
                lambda into: source.build_source(into, image, project, files, progress),
                progress,
                forget_after_s=_HOUR_S,
            )
        )
        yield Images(image, deps / dependencies.DISK, tree / source.DISK)
