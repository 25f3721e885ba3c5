"""Coverage-guided fuzzing of what reads strangers' octets; `make fuzz` runs every target."""
