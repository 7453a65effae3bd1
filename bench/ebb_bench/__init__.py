"""Benchmarks: what ebb costs on a real kernel and real LVM, beside typing the same by hand."""
