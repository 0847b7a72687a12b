"""From results to what a person reads: tables and figures."""

__all__ = ["figures", "gallery", "page", "tables"]
