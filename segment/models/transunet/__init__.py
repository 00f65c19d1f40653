"""A U-Net with a transformer at its bottom."""
