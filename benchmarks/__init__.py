"""What the performance claims rest on: `python -m benchmarks`, explained in docs/performance.md."""
