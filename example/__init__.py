"""A small booking project: what a host of the apps looks like. Never shipped."""
