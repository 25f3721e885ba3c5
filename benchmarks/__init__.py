"""Measurements: throughput, CPU per 1,000 messages, latency, memory. Figures, never assertions."""
