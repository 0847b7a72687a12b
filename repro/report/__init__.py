"""From results to what a person reads: tables and figures."""
