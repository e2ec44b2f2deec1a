"""How Sphinx builds the documentation: ``make docs``. The pages are Markdown, and can be read without being built."""

from pygments.lexers.special import TextLexer
from sphinx.application import Sphinx

project = "Table assignments"
author = "The Table assignments contributors"
language = "en"
extensions = ["myst_parser"]
source_suffix = {".md": "markdown"}
root_doc = "index"
exclude_patterns = ["_build"]

# Headings are named as GitHub names them, so that a link to one works there and here, and is checked.
myst_heading_anchors = 4
nitpicky = True

html_theme = "furo"
html_title = project
html_show_copyright = False
html_show_sphinx = False


def setup(app: Sphinx) -> None:
    """Pygments does not know crontabs."""
    app.add_lexer("cron", TextLexer)
