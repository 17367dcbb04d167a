"""Matching of easy and hard sets: how much architectures, moments and outside scores share, beyond chance."""
