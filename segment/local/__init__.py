"""Intervals of a user's own scans: fitted on a few dozen labelled cases, no weights touched.

Knows nothing of exams, words or reports.
"""
