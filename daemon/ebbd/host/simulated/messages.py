"""Pool messages: what LVM wrote down, and what the kernel's pool makes of it.

LVM compares its transaction id with the kernel's: equal, and messages left in the metadata are
old news; one ahead, and they are sent now (a snapshot then comes into being later than it was
asked for); anything else is refused. Source: libdm's _node_send_messages, and what kills of
LVM 2.03.16 left behind.
"""

from ebbd.errors import Unavailable
from ebbd.host.simulated.state import Message, PoolRecord


def flush(pool: PoolRecord) -> None:
    """What every thin create and remove does first: confirm what an earlier command left.

    That it is confirmed is noted with the command's own next commit.
    Unavailable: the pool is jammed.
    """
    behind = pool.transaction_id - pool.kernel_transaction_id
    if behind not in (0, 1) or (behind == 1 and not pool.messages):
        raise Unavailable(
            f"thin pool {pool.name} transaction_id is "
            f"{pool.kernel_transaction_id}, while expected {pool.transaction_id}",
            "the pool needs recovery: restart ebbd, then read its log",
        )
    if behind == 1:
        for message in pool.messages:
            send(pool, message)
        pool.kernel_transaction_id = pool.transaction_id
    pool.messages.clear()


def send(pool: PoolRecord, message: Message) -> None:
    """One message to the kernel's pool.

    Sent twice, a deletion and the creation of an empty device are fine (LVM expects ENODATA and
    EEXIST); a snapshot's creation is not.
    """
    there = message.device_id in pool.store.devices
    if message.name is None:
        if there:
            pool.store.delete(message.device_id)
    elif message.origin_id is not None:
        if there:
            raise Unavailable(
                f"thin pool message create_snap {message.device_id} to {pool.name} failed: "
                "File exists; manual intervention may be required",
                "the pool needs recovery: restart ebbd, then read its log",
            )
        pool.store.snapshot(message.origin_id, message.device_id)
    elif not there:
        pool.store.create(message.device_id)
