"""A structure that no model knows yet, learnt from a handful of a user's scans with their labels.

Knows nothing of exams, words or reports.
"""
