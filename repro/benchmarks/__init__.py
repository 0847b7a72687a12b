"""Benchmarks: what they measure, the rows they write, and the pages made from the rows."""
