"""The engine: speaks SMTP and DNS, keeps its state in storage, decides in mta.core."""
