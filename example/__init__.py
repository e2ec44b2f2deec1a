"""A small booking project, as an example host of the apps. Not shipped."""
