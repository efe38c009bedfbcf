"""Denoisers known in closed form."""
