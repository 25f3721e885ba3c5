"""The kill harness: load that remembers what was acknowledged, a receiver that remembers what came,
a server that is killed in between, and the comparison of the two (the invariant).

Every message goes to an address of its own, so that one ledger serves SMTP, HTTP, and servers that
are not ours.
"""
