"""Fault injection: under any fault, a command obeys the rules in ``law.py``."""
