"""The classical baseline: what is brighter than a threshold."""
