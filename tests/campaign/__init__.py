"""The hostile campaign: kills, full disks, mutated files, wrong commands; a fast share of each runs by default."""
