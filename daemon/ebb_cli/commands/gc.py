"""`ebb gc`: what is ebb's and belongs to nothing. Shown, and removed only with --remove."""

from collections.abc import Sequence
from typing import Annotated

import typer
from ebb_pb import ebb_pb2 as pb

from ebb_cli import naming, views
from ebb_cli.failures import CliError, ExitCode
from ebb_cli.plain import Plain, plain
from ebb_cli.session import Session, with_session


@with_session
def gc(
    session: Session,
    remove: Annotated[
        bool, typer.Option("--remove", help="Remove what is shown. Cannot be undone.")
    ] = False,
    yes: naming.YesOption = False,
) -> None:
    """Show orphans: stale mounts, leftover devices, LVs without a whole story, lost thin devices.

    Nothing is changed without --remove. Each orphan is looked at again right before it is removed,
    and left alone when it has changed or is in use: exit code 1.
    """
    if yes and not remove:
        raise CliError(
            "--yes without --remove: nothing is removed",
            "add --remove to remove what `ebb gc` shows",
            ExitCode.USAGE,
        )
    found = _list(session)
    if remove:
        _remove(session, found, yes=yes)
        return
    session.rows(
        views.orphan_columns(),
        found.orphans,
        ids=lambda it: it.id,
        document={
            "orphans": [plain(it) for it in found.orphans],
            "unlisted": dict[str, Plain](found.unlisted),
        },
        none="There is no orphan.",
    )
    for pool, why in sorted(found.unlisted.items()):
        session.note(f"The thin devices of {pool} were not looked at: {why}")
    if any(it.action for it in found.orphans):
        session.note("Nothing was removed; `ebb gc --remove` removes what has an action.")


def _list(session: Session) -> pb.ListOrphansResponse:
    return session.daemon.ask(
        session.daemon.node.ListOrphans, pb.ListOrphansRequest(), "Looking for orphans"
    )


def _remove(session: Session, found: pb.ListOrphansResponse, *, yes: bool) -> None:
    """One round over what was listed: what comes to light behind it is for the next one."""
    removable = [it for it in found.orphans if it.action]
    if removable:
        told = "\n".join(f"  {it.action}   ({it.reason})" for it in removable)
        session.ask_first(f"This will be done:\n{told}\nGo ahead?", yes=yes)
    refused = _remove_each(session, removable)
    outcomes = list[Plain]()
    for it in found.orphans:
        outcome = "kept" if not it.action else "refused" if it.id in refused else "removed"
        outcomes.append({**plain(it), "outcome": outcome, "problem": refused.get(it.id, "")})
    gone = [it for it in removable if it.id not in refused]
    session.done(
        f"Removed {len(gone)} of {len(found.orphans)} orphans"
        if found.orphans
        else "There was no orphan to remove",
        ids=[it.id for it in gone],
        document={"orphans": outcomes},
    )
    for it in removable:
        if it.id in refused:
            session.note(f"Left alone: {it.subject}: {refused[it.id]}")
    if gone and any(it.action for it in _list(session).orphans):
        session.note("There are more, which those stood on or which came since: run it again.")
    if refused:
        raise typer.Exit(ExitCode.FAILED)


def _remove_each(session: Session, removable: Sequence[pb.Orphan]) -> dict[str, str]:
    """What ebbd refused, by id: its reason. Only a refusal of this one lets the others go on."""
    refused: dict[str, str] = {}
    with session.daemon.activity(
        "Removing orphans", steps=len(removable), look="ebb gc"
    ) as activity:
        for it in removable:
            try:
                activity.ask(
                    session.daemon.node.RemoveOrphan, pb.RemoveOrphanRequest(orphan_id=it.id)
                )
            except CliError as error:
                if error.exit_code not in {ExitCode.WRONG_STATE, ExitCode.NOT_FOUND}:
                    raise
                refused[it.id] = str(error)
    return refused
