"""PET by the classical thresholds: lesions, their uptake and volume. Knows nothing of files.

Uptake is standardised by body weight (SUV, g/mL), as ``segment.reading`` reads it.
"""
