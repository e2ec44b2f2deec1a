"""Tags for templates of a project's own admin site."""
