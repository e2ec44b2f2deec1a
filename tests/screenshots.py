"""``make screenshots``: the pictures of the documentation, taken anew of every page with the demo's data.

On a database of its own, named like the configured one with ``_screenshots`` behind. Needs Debian's Chromium. Dates and
times differ from run to run, since the demo's evening is always a coming one.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "example.settings")
os.environ.setdefault("DATABASE_NAME", "booking_pictures")
os.environ["DEBUG"] = "false"
# Playwright's synchronous calls run an event loop underneath, for which Django would refuse to ask the database.
os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"
django.setup()

from django.conf import settings  # noqa: E402
from django.contrib.auth import get_user_model  # noqa: E402
from django.contrib.staticfiles.handlers import StaticFilesHandler  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.test.testcases import LiveServerThread  # noqa: E402
from playwright.sync_api import sync_playwright  # noqa: E402

from assignments import api  # noqa: E402
from assignments.models import Run  # noqa: E402
from assignments.telemetry import events  # noqa: E402
from example import demo, demo_database, evening, models  # noqa: E402
from rollout.shadow import comparator  # noqa: E402
from tests import debian, pages  # noqa: E402
from tests.browser.browsing import FLAGS, PHONE, visiting  # noqa: E402
from tests.showcase import ask_staff  # noqa: E402

FOLDER = settings.BASE_DIR / "docs" / "screenshots"
WIDTH, HEIGHT, LOW = 1200, 800, 540
LARGEST_KB = 150
DARK, ON_A_PHONE = "rollout", "review-item"
"""The pages that are taken a second time."""

FIRST_NAMES = ("Ada", "Bela", "Chidi", "Dana", "Emre", "Farah", "Gro", "Hana")
LAST_NAMES = (
    "Amsel",
    "Birke",
    "Clement",
    "Distel",
    "Esche",
    "Falk",
    "Ginster",
    "Hollunder",
    "Iris",
    "Kiebitz",
    "Lerche",
)
CLOSED_SIDEBAR = 'localStorage.setItem("django.admin.navSidebarIsOpen", "false")'


@contextmanager
def serving() -> Iterator[str]:
    """Where the example is served."""
    thread = LiveServerThread("localhost", StaticFilesHandler)
    thread.daemon = True
    thread.start()
    thread.is_ready.wait()
    if thread.error:
        raise thread.error
    try:
        yield f"http://localhost:{thread.port}"
    finally:
        thread.terminate()


def prepare() -> Any:
    """The demo's data, and a run of the coordinator; who looks at it."""
    demo_database.use_another("_screenshots")
    demo_database.make_user()
    source = evening.parse_json_ahead(demo.REAL_EVENING.read_text(), datetime.now(UTC))
    demo.run(source, demo.REAL_EVENING, settings.BASE_DIR / "rollout-report.html", say=print)
    call_command("run_coordinator")
    list(comparator.compare_waiting())
    ask_staff(models.Restaurant.objects.get(name__endswith="(v3)"))
    _name_guests()
    _close_tables()
    events.flush(10)
    Run.objects.update(worker="worker-1:4711")  # Nobody's machine belongs into the documentation.
    return get_user_model().objects.get(username=demo_database.USERNAME)


def _name_guests() -> None:
    """Nobody's names, and numbers of a range that is kept for fiction, so that the pictures show where they are."""
    bookings = list(models.Booking.objects.order_by("pk"))
    for number, booking in enumerate(bookings):
        booking.guest_name = f"{FIRST_NAMES[number % len(FIRST_NAMES)]} {LAST_NAMES[number // 3 % len(LAST_NAMES)]}"
        booking.guest_phone = f"020 7946 {number % 1000:04d}"
        booking.guest_notes = "Needs a high chair." if number % 7 == 3 else ""
    models.Booking.objects.bulk_update(bookings, ["guest_name", "guest_phone", "guest_notes"])


def _close_tables() -> None:
    """A table for good, one for an afternoon, and a zone that was to be closed; where they disturb nobody."""
    restaurant = models.Restaurant.objects.get(name__endswith="(v3)")
    ref, now = str(restaurant.pk), datetime.now(UTC)
    wobbly, window = (str(table.pk) for table in restaurant.tables.order_by("code")[:2])
    later = now + timedelta(days=5)
    api.close(restaurant_ref=ref, table_refs=[wobbly], starts_at=later, reason="It wobbles.", actor="host")
    api.close(
        restaurant_ref=ref,
        table_refs=[window],
        starts_at=later,
        ends_at=later + timedelta(hours=4),
        reason="The window is repaired.",
        actor="host",
    )
    zone = str(restaurant.zones.order_by("name")[0].pk)
    rain = api.close(
        restaurant_ref=ref,
        zone_ref=zone,
        starts_at=later,
        ends_at=later + timedelta(hours=6),
        reason="Rain.",
        actor="host",
    )
    api.lift_closure(closure_id=rain, actor="host")


def take(path: str, name: str, browser: Any, origin: str, user: Any, *, select: str = "", **options: Any) -> Path:
    """One picture, in ``docs/screenshots``. ``select``: what is clicked on before."""
    with visiting(browser, origin, user, **{"size": (WIDTH, HEIGHT), **options}) as page:
        page.goto("/admin/login/")
        page.evaluate(CLOSED_SIDEBAR)
        page.goto(path)
        page.wait_for_load_state("networkidle")
        if select:
            page.locator(select).first.click()
            page.locator("#evening-panel-title").wait_for()
            page.wait_for_load_state("networkidle")
        file = FOLDER / f"{name}.png"
        page.screenshot(path=file)
        if file.stat().st_size > LARGEST_KB * 1024:
            raise SystemExit(
                f"{file} has {file.stat().st_size // 1024} kB; pictures of the documentation have at most {LARGEST_KB}."
            )
    return file


def main() -> int:
    executable = debian.path("chromium")
    if executable is None:
        print("chromium is not installed: apt-get install chromium", file=sys.stderr)
        return 2
    FOLDER.mkdir(parents=True, exist_ok=True)
    user = prepare()
    taken = []
    with serving() as origin, sync_playwright() as playwright:
        # The language of what Chromium itself draws, such as a field for a date.
        browser = playwright.chromium.launch(executable_path=executable, args=[*FLAGS, "--lang=en-GB"])
        for page in pages.PAGES:
            taken.append(take(page.path(), page.key, browser, origin, user))
            if page.key == DARK:
                taken.append(take(page.path(), f"{page.key}-dark", browser, origin, user, color_scheme="dark"))
            if page.key == pages.TIMELINE.key:
                bar = ".evening-bar[data-booking] >> nth=4"
                picture = f"{page.key}-selected"
                taken.append(take(page.path(), picture, browser, origin, user, select=bar, size=(WIDTH, LOW)))
            if page.key == ON_A_PHONE:
                picture = f"{page.key}-phone"
                taken.append(take(page.path(), picture, browser, origin, user, size=PHONE, is_mobile=True))
        browser.close()
    for file in taken:
        print(f"{file.relative_to(settings.BASE_DIR)}: {file.stat().st_size // 1024} KB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
