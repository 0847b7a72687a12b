"""Cells and loads: how they are drawn, kept, checked, and paired for training."""
