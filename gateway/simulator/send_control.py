"""What tests ask about sends: what was accepted, how the API was called, and a delivery state by hand."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from gateway.simulator import replies
from gateway.simulator.call_log import CallLog
from gateway.simulator.engine import Engine
from gateway.simulator.ledger import Ledger
from gateway.simulator.replies import Refusal, success
from gateway.simulator.sends import Sends


class SendControl:
    """Answers what tests ask about sends."""

    def __init__(self, engine: Engine, sends: Sends, ledger: Ledger, calls: CallLog) -> None:
        self._engine = engine
        self._sends = sends
        self._ledger = ledger
        self._calls = calls

    def routes(self) -> list[BaseRoute]:
        """The routes, below `/_simulator`."""
        return [
            Route("/sends", self.sends, methods=["GET"]),
            Route("/sends/{msg_id:int}/state", self.state, methods=["POST"]),
            Route("/calls", self.calls, methods=["GET"]),
            Route("/calls", self.forget_calls, methods=["DELETE"]),
        ]

    async def sends(self, request: Request) -> Response:
        """Every send that was accepted, oldest first; `?session=` and `?after=<msgId>` narrow it."""
        session, after = request.query_params.get("session", ""), request.query_params.get("after", "")
        rows = self._ledger.rows(
            session_id=int(session) if session.isdecimal() else None,
            after=int(after) if after.isdecimal() else 0,
        )
        return success([self._with_state(row) for row in rows])

    def _with_state(self, row: dict[str, object]) -> dict[str, object]:
        """A row of the ledger with what has become of the message, as long as the simulator remembers it."""
        msg_id = row["msgId"]
        sent = self._engine.world.sent.get(msg_id) if isinstance(msg_id, int) else None
        if sent is None:
            return {**row, "state": None}
        return {
            **row,
            "state": sent.state,
            "failed_reason": sent.failed_reason,
            "edited": sent.edited,
            "deleted": sent.deleted,
        }

    async def state(self, request: Request) -> Response:
        """Tells a delivery state: `{"status": 0…5}`, in whatever order the tester likes."""
        sent = self._engine.world.sent.get(request.path_params["msg_id"])
        session = self._engine.world.sessions.get(sent.session_id) if sent else None
        if sent is None or session is None:
            text = f"The simulator has no sent message {request.path_params['msg_id']}."
            raise Refusal(404, {"success": False, "error": text})
        status = (await replies.read_json(request)).get("status")
        if isinstance(status, bool) or not isinstance(status, int) or not 0 <= status <= 5:
            raise ValueError("status must be a whole number from 0 to 5.")
        told = self._sends.report(session, sent, status)
        return success({"state": sent.state, "deliveries": [delivery.id for delivery in told]})

    async def calls(self, request: Request) -> Response:
        """How the API was called so far."""
        return success(self._calls.listed())

    async def forget_calls(self, request: Request) -> Response:
        """Begins to count anew."""
        self._calls.clear()
        return success([])
