"""Who the nodes are, as each of them has told over a verified connection.

A member is a node whose id is known; its certificate has to carry that id. A place that has not
told who is there is a stranger. What a member once told is kept when it stops answering: its
volumes are then not available, which is another thing than not there.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

import grpc
from ebb_pb.identities import ANY_NODE
from structlog.typing import FilteringBoundLogger

from ebb_csi.credentials import CredentialsError, Material
from ebb_csi.line import Line
from ebb_csi.places import Place, Places, PlacesError
from ebb_csi.router import Ebbd, NodeFacts

ASK_S = 5.0
LOOK_EVERY_S = 5.0


@dataclass(slots=True)
class Member:
    """One node. `facts` None: it never answered. `trouble` empty: it answered when last asked."""

    node_id: str
    line: Line
    ebbd: Ebbd
    facts: NodeFacts | None = None
    trouble: str = "not asked yet"


class Roster:
    def __init__(
        self,
        places: Places,
        read_material: Callable[[], Material],
        log: FilteringBoundLogger,
        *,
        look_every_s: float = LOOK_EVERY_S,
    ) -> None:
        """Raises CredentialsError when there is nothing to begin with."""
        self._places = places
        self._read_material = read_material
        self._material = read_material()
        self._log = log
        self._look_every_s = look_every_s
        self._looking = asyncio.Lock()
        self._looks = 0
        self._looked = asyncio.Condition()
        self._retired: list[Line] = []
        self._said: dict[str, str] = {}
        self.members: dict[str, Member] = {}
        self.strangers: dict[str, str] = {}
        # Addresses of nodes that are reached at another one: a name may have several.
        self._aliases: dict[str, str] = {}

    @property
    def complete(self) -> bool:
        return self._places.complete

    @property
    def answering(self) -> list[Member]:
        return [member for member in self.members.values() if not member.trouble]

    async def run(self) -> None:
        """Look again and again, until cancelled."""
        while True:
            await asyncio.sleep(self._look_every_s)
            await self.look()

    async def changes(self) -> AsyncIterator[None]:
        """Once now, then after each look."""
        while True:
            yield
            async with self._looked:
                await self._looked.wait()

    async def look(self) -> None:
        """Ask every node who it is, in a round that begins after this call; callers share it."""
        begun = self._looks
        async with self._looking:
            if self._looks == begun:
                self._looks += 1
                await self._look()
        async with self._looked:
            self._looked.notify_all()

    async def close(self) -> None:
        for line in (*self._retired, *(member.line for member in self.members.values())):
            await line.close()

    async def _look(self) -> None:
        await self._close_idle()
        self._take_material()
        places = await self._look_for_places()
        if places is not None:
            self._settle(places)
        async with asyncio.TaskGroup() as tasks:
            for member in list(self.members.values()):
                tasks.create_task(self._ask(member))
        if places is None:
            return
        answering = {member.line.address for member in self.answering}
        ids = {member.node_id for member in self.answering}
        nameless = [
            place.address
            for place in places
            if not place.node_id
            and place.address not in answering
            and self._aliases.get(place.address) not in ids
        ]
        self.strangers = {
            address: why for address, why in self.strangers.items() if address in nameless
        }
        async with asyncio.TaskGroup() as tasks:
            for address in nameless:
                tasks.create_task(self._meet(address))

    def _take_material(self) -> None:
        """New certificates on disk: new lines; the calls on the old ones end by themselves."""
        try:
            found = self._read_material()
        except CredentialsError as wrong:
            self._say("certificates", str(wrong))
            return
        self._say("certificates", "")
        if found == self._material:
            return
        self._material = found
        self._log.info("certificate taken")
        for member in self.members.values():
            self._connect(member, member.line.address)

    async def _look_for_places(self) -> tuple[Place, ...] | None:
        try:
            places = await self._places.look()
        except PlacesError as wrong:
            self._say("places", str(wrong))
            return None
        self._say("places", "")
        return places

    def _settle(self, places: tuple[Place, ...]) -> None:
        """Members as the places have them; those that no complete list has any more are dropped."""
        for place in places:
            if place.node_id:
                self._admit(place.node_id, place.address)
        if self.complete:
            for node_id in self.members.keys() - {place.node_id for place in places}:
                self._log.info("node dropped", node=node_id)
                self._retired.append(self.members.pop(node_id).line)

    def _admit(self, node_id: str, address: str) -> None:
        member = self.members.get(node_id)
        if member is None:
            line = Line(address, node_id, self._material)
            self.members[node_id] = Member(node_id, line, Ebbd(line.channel))
        elif member.line.address != address:
            self._connect(member, address)

    def _connect(self, member: Member, address: str) -> None:
        self._retired.append(member.line)
        line = Line(address, member.node_id, self._material)
        line.node_key = member.facts.node_key if member.facts else ""
        member.line = line
        member.ebbd.use(line.channel)

    async def _close_idle(self) -> None:
        """Lines of before, when their last call has ended; nobody begins another on them."""
        idle = [line for line in self._retired if line.idle]
        self._retired = [line for line in self._retired if not line.idle]
        for line in idle:
            await line.close()

    async def _ask(self, member: Member) -> None:
        try:
            facts = await member.ebbd.facts(ASK_S)
        except grpc.aio.AioRpcError as failure:
            member.trouble = failure.details() or failure.code().name
        else:
            if facts.node_id == member.node_id:
                member.facts, member.trouble = facts, ""
            else:
                member.trouble = f"{member.line.address} says that it is node {facts.node_id}"
        member.line.node_key = member.facts.node_key if member.facts else ""
        self._say(member.node_id, member.trouble)

    async def _meet(self, address: str) -> None:
        """Who is there? Any node's certificate will do for the question; for the answer to count
        it takes the certificate of the node that it names.
        """
        proof: Line | None = None
        try:
            node_id = (await self._facts_at(address, ANY_NODE)).node_id
            proof = Line(address, node_id, self._material)
            facts = await Ebbd(proof.channel).facts(ASK_S)
        except grpc.aio.AioRpcError as failure:
            self.strangers[address] = failure.details() or failure.code().name
        else:
            member = self.members.get(node_id)
            if facts.node_id != node_id:
                self.strangers[address] = f"it is node {node_id} at one time, {facts.node_id} then"
            else:
                self._aliases[address] = node_id
                self.strangers.pop(address, None)
                if member is None or member.trouble:
                    self._found(member, facts, proof)
                    proof = None
        finally:
            if proof is not None:
                await proof.close()
        self._say(address, self.strangers.get(address, ""))

    async def _facts_at(self, address: str, name: str) -> NodeFacts:
        line = Line(address, name, self._material)
        try:
            return await Ebbd(line.channel).facts(ASK_S)
        finally:
            await line.close()

    def _found(self, member: Member | None, facts: NodeFacts, line: Line) -> None:
        """A node is where this line leads, which is its own from now on."""
        line.node_key = facts.node_key
        if member is None:
            found = Member(facts.node_id, line, Ebbd(line.channel), facts, "")
            self.members[facts.node_id] = found
            return
        self._retired.append(member.line)
        member.line, member.facts, member.trouble = line, facts, ""
        member.ebbd.use(line.channel)

    def _say(self, subject: str, trouble: str) -> None:
        """Into the log, when it is another trouble than before, or none any more."""
        if self._said.get(subject, "") == trouble:
            return
        self._said[subject] = trouble
        if trouble:
            self._log.warning("trouble", subject=subject, why=trouble)
        else:
            self._log.info("no trouble any more", subject=subject)
