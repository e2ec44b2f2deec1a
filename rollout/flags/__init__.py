"""Determining which planner decides: flags and their sources, the share of restaurants, drift from the stage."""
