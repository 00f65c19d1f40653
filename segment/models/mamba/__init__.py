"""A U-Net with a state-space model at its bottom."""
