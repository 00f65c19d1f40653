"""Many studies in one run that can be stopped, killed and resumed; each becomes one outcome.

``assistant.batch(source, output)`` does all of it. ``plan`` finds the studies, ``waiting`` lists
those that are not done, ``run`` drafts them and yields each as it is over, ``outcomes`` reads them
back from a run's folder.
"""

import sys
from types import ModuleType

from assistant.batch.cluster import Cluster
from assistant.batch.find import plan
from assistant.batch.item import Item, Plan
from assistant.batch.outcome import Outcome
from assistant.batch.parquet import ParquetError
from assistant.batch.place import outcomes
from assistant.batch.run import run, waiting
from assistant.batch.whole import batch
from assistant.batch.work import Recipe

__all__ = [
    "Cluster",
    "Item",
    "Outcome",
    "ParquetError",
    "Plan",
    "Recipe",
    "batch",
    "outcomes",
    "plan",
    "run",
    "waiting",
]


class _Callable(ModuleType):
    """This package, which is called as its function ``batch``.

    A package and a function cannot share a name; Python lets a module choose its class instead
    (the language reference, "Customizing module attribute access").
    """

    __call__ = staticmethod(batch)


sys.modules[__name__].__class__ = _Callable
