"""Takes up again what a stop left unfinished. Knows nothing of requests."""

from assistant.page.desk import Desk
from assistant.page.opening import request_of
from assistant.page.server import Parts
from assistant.page.store import Pending
from assistant.referral import Referral

MOST_TRIES = 5  # a study that ends the server as often is not begun again
DIED = "worker-died"
ENDED = "expected a draft, found that the server ended each time it was begun"


def resume(parts: Parts) -> int:
    """Begin each unfinished draft again, in the order of asking; return how many there are."""
    return sum(_begin(parts, pending) for pending in parts.store.unfinished())


def _begin(parts: Parts, pending: Pending) -> bool:
    """Begin one draft again, unless it was begun too often."""
    store = parts.store
    if pending.tries >= MOST_TRIES:
        store.change(pending.study, state="failed")
        store.record(pending.study, "voxcite", "failed", code=DIED, sentence=ENDED)
        return False
    store.change(pending.study, state="waiting", report=None)
    desk = Desk(store, pending.owner, pending.study)
    request = request_of(desk, pending.wanted, Referral(**desk.kept.referral))
    parts.workshop.begin(desk.kept, request, is_resumed=True)
    return True
