"""Reproduction of the U-Net stress surrogate of Khorrami et al., npj Comput. Mater. 9:37 (2023)."""

__version__ = "0.1.0"
