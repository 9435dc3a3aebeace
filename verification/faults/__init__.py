"""Faults: whatever is done to a command, it ends in one of few ways. ``law.py`` says in which."""
