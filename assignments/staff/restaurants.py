"""Finding the restaurant meant by a key, a reference or a name, in the same way for commands and forms."""

from assignments.concurrency.transactions import database_now
from assignments.integration.floor_cache import floor_or_any_problem
from assignments.integration.host import FindsRestaurants, Host
from assignments.integration.project_host import able, configured
from assignments.planning.text import gettext as _
from assignments.staff.service_day import venues


class AmbiguousRestaurantError(LookupError):
    """Several restaurants may be meant. The message names them."""


def ref_of(text: str, *, host: Host | None = None) -> str:
    """Return the ref of the restaurant that ``text`` means; ``text`` itself if nobody knows it.

    A restaurant with this ref, the host's key, comes first. Otherwise it is the one that the host finds
    (``FindsRestaurants``), or the one with this name among those with bookings. Raises AmbiguousRestaurantError.
    """
    if "\0" in text:
        return text
    host = host or configured()
    if text in host.restaurant_names([text]) or floor_or_any_problem(text, host=host)[0] is not None:
        return text
    known = [venue.ref for venue in venues(database_now())]
    if text in known:
        return text
    names = dict(host.restaurant_names(known))
    found = {ref for ref, name in names.items() if name.casefold() == text.casefold()}
    finder = able(host, FindsRestaurants)
    if finder is not None:
        found.update(finder.restaurants_called(text))
    if len(found) > 1:
        names.update(host.restaurant_names(sorted(found)))
        said = ", ".join(f"{ref} ({names.get(ref, text)})" for ref in sorted(found))
        problem = _(
            "Several restaurants are called %(name)s: %(found)s. Write the key of one.", name=repr(text), found=said
        )
        raise AmbiguousRestaurantError(problem)
    return found.pop() if found else text
