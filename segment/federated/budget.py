"""What a site has given away of its subjects so far, and that it gives no more than it may.

Every round that was trained privately on the site's data is a line of a file beside its work,
whatever the plan: what is spent is spent. Knows nothing of networks or of messages.
"""

import csv
from pathlib import Path

from segment.privacy import Private, Steps, epsilon_of

SPENT = "privacy.csv"


def spend(folder: Path, private: Private) -> float:
    """Write a round down before it is trained, and return epsilon with it, at the plan's delta.

    A round that breaks off counts: it may have been sent. Raises ValueError, and writes nothing,
    where the site would pass what the plan allows.
    """
    coming = Steps(private.noise, private.share, private.steps)
    epsilon = epsilon_of([*spent(folder), coming], private.delta)
    if epsilon > private.most_epsilon:
        msg = f"{SPENT}: expected epsilon {private.most_epsilon:g} at the most, found"
        raise ValueError(f"{msg} {epsilon:.2f} with this round; take part in no more rounds")
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / SPENT).open("a", newline="", encoding="utf-8") as file:
        csv.writer(file).writerow([coming.noise, coming.share, coming.count])
    return epsilon


def spent(folder: Path) -> list[Steps]:
    """Read what was spent; raises ValueError for a line that says something else."""
    path = folder / SPENT
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        try:
            return [Steps(float(n), float(s), int(c)) for n, s, c in csv.reader(file)]
        except ValueError as error:
            msg = f"{SPENT}: expected lines of noise, share and steps, found another"
            raise ValueError(f"{msg}; restore the file") from error
