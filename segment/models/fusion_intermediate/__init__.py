"""Intermediate fusion: an encoder a sequence, whose features are joined at every scale."""
