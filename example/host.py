"""The booking project's host, its interface for the assignments app."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import time
from typing import Any

from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import OuterRef, QuerySet
from django.db.models.functions import JSONObject

from assignments.floor import EVERY_WEEKDAY, Floor, Join, ServicePeriod, Table, TurnTime, adjacency
from assignments.host import ModelHost
from assignments.planning.features import words
from example import models


class ExampleHost(ModelHost):
    booking_model = "example.Booking"
    start_field = "start"
    end_field = "end"
    restaurant_field = "restaurant"
    zone_field = "zone"
    requested_field = "created_at"
    status_field = "status"
    cancelled_statuses = ("cancelled", "no_show")
    told_field = "table_told"
    needs_field = "needs"
    wishes_field = "wishes"
    guest_name_field = "guest_name"
    guest_phone_field = "guest_phone"
    guest_notes_field = "guest_notes"
    guest_reference_field = "reference"
    tables_field = "tables"
    table_model = "example.Table"
    table_name_field = "code"
    table_restaurant_field = "restaurant"

    def floor_querysets(self, restaurant_ref: str) -> Sequence[QuerySet[Any]]:
        key = int(restaurant_ref) if restaurant_ref.isdecimal() else 0
        return [
            models.Restaurant.objects.filter(pk=key),
            models.Zone.objects.filter(restaurant=key),
            models.Table.objects.filter(restaurant=key),
            models.TableAdjacency.objects.filter(first__restaurant=key),
            models.TableJoin.tables.through.objects.filter(table__restaurant=key),
            models.TableJoin.objects.filter(tables__restaurant=key).distinct(),
            models.ServicePeriod.objects.filter(restaurant=key),
            models.TurnTime.objects.filter(service__restaurant=key),
            *self.calendar_querysets(restaurant_ref),
        ]

    def floor(self, restaurant_ref: str) -> Floor:
        """Return the floor, from this project's own tables and the app's calendar. Three queries.

        Raises LookupError for an unknown restaurant.
        """
        restaurant = _with_its_floor(int(restaurant_ref)) if restaurant_ref.isdecimal() else None
        if restaurant is None:
            raise LookupError(f"There is no restaurant {restaurant_ref!r}.")
        services = tuple(_service(row) for row in restaurant.its_services)
        return Floor(
            restaurant_ref=restaurant_ref,
            timezone=restaurant.timezone,
            tables=tuple(
                Table(
                    ref=str(table["pk"]),
                    name=table["code"],
                    seats=table["seats"],
                    zone_ref=str(table["zone"]),
                    min_party=table["min_party"] and min(table["min_party"], table["seats"]),
                    max_party=table["max_party"] and min(table["max_party"], table["seats"]),
                    active=table["active"],
                    features=words(table["features"]),
                    priority=table["priority"],
                )
                for table in restaurant.its_tables
            ),
            services=services,
            calendar=self.calendar(restaurant_ref, services),
            pacing=self.pacing(restaurant_ref),
            adjacent=adjacency((str(pair["one"]), str(pair["other"])) for pair in restaurant.its_pairs),
            joins=_joins(restaurant.its_joins),
            zone_names={str(zone["pk"]): zone["name"] for zone in restaurant.its_zones},
        )


_RESTAURANT = OuterRef("pk")
_TURNS = ArraySubquery(
    models.TurnTime.objects.filter(service=OuterRef("pk"))
    .order_by("max_party")
    .values_list(JSONObject(max_party="max_party", minutes="minutes"))
)
_AS_THEY_ARE = ("allow_overrun", "buffer_before_minutes", "buffer_after_minutes", "early_minutes", "late_minutes")


def _service(row: dict[str, Any]) -> ServicePeriod:
    return ServicePeriod(
        key=row["key"],
        starts=time.fromisoformat(row["start"]),
        ends=time.fromisoformat(row["end"]),
        turn_times=tuple(TurnTime(**turn) for turn in row["turns"]),
        weekdays=frozenset(row["weekdays"]) or EVERY_WEEKDAY,
        **{name: row[name] for name in _AS_THEY_ARE},
    )


def _with_its_floor(key: int) -> Any:
    """Return a restaurant with the rows of its floor, in one query, because pages and planners wait for it."""
    services = models.ServicePeriod.objects.filter(restaurant=_RESTAURANT).order_by("start", "pk")
    tables = models.Table.objects.filter(restaurant=_RESTAURANT).order_by("code")
    pairs = models.TableAdjacency.objects.filter(first__restaurant=_RESTAURANT)
    joins = models.TableJoin.tables.through.objects.filter(table__restaurant=_RESTAURANT)
    zones = models.Zone.objects.filter(restaurant=_RESTAURANT).order_by("pk")
    of_table = ("pk", "code", "seats", "zone", "min_party", "max_party", "active", "features", "priority")
    columns = {name: name for name in of_table}
    of_service = {name: name for name in ("key", "start", "end", "weekdays", *_AS_THEY_ARE)}
    of_join = {name: f"tablejoin__{name}" for name in ("seats", "min_party", "max_party")}
    return (
        models.Restaurant.objects.filter(pk=key)
        .annotate(
            its_services=ArraySubquery(services.values_list(JSONObject(turns=_TURNS, **of_service))),
            its_tables=ArraySubquery(tables.values_list(JSONObject(**columns))),
            its_pairs=ArraySubquery(pairs.order_by("pk").values_list(JSONObject(one="first", other="second"))),
            its_joins=ArraySubquery(
                joins.order_by("pk").values_list(JSONObject(join="tablejoin", table="table", **of_join))
            ),
            its_zones=ArraySubquery(zones.values_list(JSONObject(pk="pk", name="name"))),
        )
        .first()
    )


def _joins(rows: Iterable[dict[str, Any]]) -> tuple[Join, ...]:
    tables, limits = defaultdict(set), {}
    for row in rows:
        tables[row["join"]].add(str(row["table"]))
        limits[row["join"]] = {name: row[name] for name in ("seats", "min_party", "max_party")}
    return tuple(Join(table_refs=frozenset(refs), **limits[join]) for join, refs in sorted(tables.items()))
