"""Tables below areas, and the restaurant above both."""
