"""`ebb node`: which node this daemon is."""

import typer
from ebb_pb import ebb_pb2 as pb

from ebb_cli import views
from ebb_cli.plain import plain
from ebb_cli.session import Session, with_session

app = typer.Typer(help="The node and its daemon.", no_args_is_help=True)


@app.command("show")
@with_session
def show(session: Session) -> None:
    """Show the node's id and key, the daemon's version and the attach limit."""
    node = session.daemon.ask(
        session.daemon.node.GetNode, pb.GetNodeRequest(), "Asking for the node"
    )
    session.fact_sheet(views.node_facts(node), ids=[node.node_id], document=plain(node))
