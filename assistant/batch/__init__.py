"""Many studies in one run that can be stopped, killed and resumed; each becomes one outcome.

``plan`` finds the studies, ``run`` drafts them and yields each as it is over, ``outcomes`` reads
them back from a run's folder.
"""

from assistant.batch.cluster import Cluster
from assistant.batch.find import plan
from assistant.batch.item import Item, Plan
from assistant.batch.outcome import Outcome
from assistant.batch.parquet import ParquetError
from assistant.batch.place import outcomes
from assistant.batch.run import run
from assistant.batch.work import Recipe

__all__ = [
    "Cluster",
    "Item",
    "Outcome",
    "ParquetError",
    "Plan",
    "Recipe",
    "outcomes",
    "plan",
    "run",
]
