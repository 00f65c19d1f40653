"""Late fusion: a U-Net a sequence, whose decisions are averaged."""
