"""What users write into a form for a restaurant: its name, its reference, or its key in the booking project."""

import logging

from django import forms
from django.db import DatabaseError
from django.utils.translation import gettext_lazy as _

from assignments.error_logging import log_error
from assignments.staff import restaurants
from assignments.staff.labels import render

logger = logging.getLogger("assignments.admin")

HELP = _("Its name, or its key in the booking project.")


def ref_of(text: str) -> str:
    """Return the ref of the restaurant that is meant; the text itself if nobody knows it, or the host fails.

    Raises ValidationError if several may be meant.
    """
    try:
        return restaurants.ref_of(text) if text else text
    except restaurants.AmbiguousRestaurantError as error:
        raise forms.ValidationError(render(error)) from error
    except DatabaseError:
        raise
    except Exception as error:  # noqa: BLE001  (a host that fails must keep nobody from a form: it is the key then)
        log_error(logger, error, "The host raised an error when asked which restaurant is meant")
        return text
