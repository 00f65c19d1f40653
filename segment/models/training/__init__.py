"""The one training of every network: its plan, its cases and its runs."""
