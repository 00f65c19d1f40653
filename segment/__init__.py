"""From a scan to measurements with intervals. Knows nothing of language or of reports."""
