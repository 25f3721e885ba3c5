"""Power cuts, simulated: what the real server wrote, synced and promised, and every disk that a
power cut could have left behind at any moment of it.
"""
