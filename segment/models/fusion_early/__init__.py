"""Early fusion: all sequences are channels of one U-Net."""
