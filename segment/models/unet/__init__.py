"""The default network: a residual U-Net."""
