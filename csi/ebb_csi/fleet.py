"""The router of a controller for many nodes.

The owner of a thing is in its id. Whatever is not certain is UNAVAILABLE and never "not there":
a deletion that is told to have happened while its node was down would never happen.
"""

import re
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence

from grpc import StatusCode

from ebb_csi.roster import Member, Roster
from ebb_csi.router import Ebbd, Located, Survey
from ebb_csi.status import Refusal

# The form of ebb's ids (docs/architecture.md, "Names"); the group is the node's key.
ID = re.compile(r"[vsg]-([a-z2-7]{8})-[a-z2-7]{16}")


def unavailable(missing: Mapping[str, str], what: str) -> Refusal:
    told = ", ".join(f"{name} ({why})" for name, why in sorted(missing.items()))
    return Refusal(
        StatusCode.UNAVAILABLE, f"{what}: {told or 'no node is known yet'}; try again when it can"
    )


class Fleet:
    def __init__(self, roster: Roster) -> None:
        self._roster = roster

    async def owner(self, object_id: str, timeout_s: float | None) -> Ebbd:  # noqa: ARG002 - a look has its own
        found = ID.fullmatch(object_id)
        if found is None:  # nobody made it: any node says so in its own words
            return await self._anyone()
        key = found[1]
        member = self._with_key(key)
        if member is None:
            await self._roster.look()
            member = self._with_key(key)
        if member is not None:
            return member.ebbd
        missing = self._unknown()
        if missing or not self._roster.complete:
            raise unavailable(
                missing, f"whose {object_id} is cannot be told, not every node answers"
            )
        return await self._anyone()

    async def survey(self, timeout_s: float | None) -> Survey:  # noqa: ARG002 - a look has its own
        if self._unknown():
            await self._roster.look()
        met = [(m, m.facts) for _, m in sorted(self._roster.members.items()) if m.facts]
        claims = Counter(facts.node_key for _, facts in met)
        doubted = {
            facts.node_id: f"another node says too that its key is {facts.node_key}"
            for _, facts in met
            if claims[facts.node_key] > 1
        }
        return Survey(
            tuple(
                Located(member.ebbd, facts) for member, facts in met if facts.node_id not in doubted
            ),
            self._unknown() | doubted,
            self._roster.complete,
        )

    async def everyone(self, timeout_s: float | None) -> Sequence[Located]:
        survey = await self.survey(timeout_s)
        if survey.missing or not survey.located:
            raise unavailable(survey.missing, "not every node can be asked")
        return survey.located

    def others(self, ebbd: Ebbd) -> Sequence[Ebbd]:
        return [it.ebbd for it in self._roster.answering if it.ebbd is not ebbd]

    async def named(self, node_id: str, timeout_s: float | None) -> Located | None:  # noqa: ARG002 - a look has its own
        member = self._roster.members.get(node_id)
        if member is None or member.facts is None:
            await self._roster.look()
            member = self._roster.members.get(node_id)
        if member is not None and member.facts is not None:
            return Located(member.ebbd, member.facts)
        if member is None and self._roster.complete:
            return None
        raise unavailable(self._unknown(), f"node {node_id} cannot be asked")

    async def ready(self, timeout_s: float | None) -> bool:  # noqa: ARG002 - nobody is asked
        return bool(self._roster.answering)

    async def readiness(self) -> AsyncIterator[bool]:
        async for _ in self._roster.changes():
            yield bool(self._roster.answering)

    async def run(self) -> None:
        await self._roster.run()

    async def _anyone(self) -> Ebbd:
        if not self._roster.answering:
            await self._roster.look()
        if not self._roster.answering:
            raise unavailable(self._unknown() | self._silent(), "no node answers")
        return self._roster.answering[0].ebbd

    def _with_key(self, key: str) -> Member | None:
        """Refuses (UNAVAILABLE) where two nodes claim a key: either could be an impostor, or hold
        a copy of the other's disk.
        """
        found = [m for m in self._roster.members.values() if m.facts and m.facts.node_key == key]
        if len(found) > 1:
            ids = " and ".join(sorted(member.node_id for member in found))
            raise Refusal(
                StatusCode.UNAVAILABLE,
                f"nodes {ids} both say that their key is {key}; stop the one that is wrong, or "
                "give its new pool another node.key",
            )
        return found[0] if found else None

    def _unknown(self) -> dict[str, str]:
        members = self._roster.members.values()
        return self._roster.strangers | {m.node_id: m.trouble for m in members if m.facts is None}

    def _silent(self) -> dict[str, str]:
        return {m.node_id: m.trouble for m in self._roster.members.values() if m.trouble}
