"""Deleting several things of a kind: look all of them up, ask once, then delete one by one."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from ebb_cli.client import Activity
from ebb_cli.failures import CliError, ExitCode
from ebb_cli.plain import Plain
from ebb_cli.session import Session


class Named(Protocol):
    """What a message must have to be named in a sentence."""

    @property
    def id(self) -> str: ...
    @property
    def name(self) -> str: ...


N = TypeVar("N", bound=Named)


@dataclass(frozen=True, slots=True)
class Noun(Generic[N]):
    """A kind of thing: its plural, how to find one by name or id, how to delete one by id (True:
    it was there), and the question that comes first.
    """

    plural: str
    find: Callable[[str], N]
    delete: Callable[[Activity, str], bool]
    question: str


def delete_each(
    session: Session, noun: Noun[N], wanted: Iterable[str], *, yes: bool, missing_ok: bool
) -> None:
    """Nothing is deleted unless everything was found. A failure on the way says what is gone."""
    found = _find_each(noun, wanted, missing_ok=missing_ok)
    if found:
        session.ask_first(noun.question.format(names=_names(found)), yes=yes)
    outcome = list[Plain]()
    gone: list[N] = []
    try:
        with session.daemon.activity(
            f"Deleting {_names(found)}",
            steps=len(found),
            look=f"ebb {noun.plural.removesuffix('s')} list",
        ) as activity:
            for one in found:
                deleted = noun.delete(activity, one.id)
                outcome.append({"id": one.id, "name": one.name, "deleted": deleted})
                gone.append(one)
    except CliError:
        if gone:
            session.note(f"Deleted before that: {_names(gone)}")
        raise
    session.done(
        f"Deleted {_names(found)}" if found else "Nothing was there to delete",
        ids=[it.id for it in found],
        document={noun.plural: outcome},
    )


def _find_each(noun: Noun[N], wanted: Iterable[str], *, missing_ok: bool) -> list[N]:
    """Each thing once, whatever it was called by."""
    found: dict[str, N] = {}
    for name_or_id in wanted:
        try:
            one = noun.find(name_or_id)
        except CliError as error:
            if missing_ok and error.exit_code is ExitCode.NOT_FOUND:
                continue
            raise
        found[one.id] = one
    return list(found.values())


def _names(found: Iterable[Named]) -> str:
    return ", ".join(it.name for it in found)
