"""What a segmenter learns from scans that nobody labelled. Knows nothing of structures."""
