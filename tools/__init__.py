"""What maintainers run beside the tests: bill of materials, outside probes."""
