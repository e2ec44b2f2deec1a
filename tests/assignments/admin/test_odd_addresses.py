"""Addresses that no link of ours has are refused, and stop nothing."""

from typing import Any

import pytest
from django.contrib import admin
from django.test import Client
from django.urls import reverse

from tests.assignments.conftest import TheHost

OURS = [
    model
    for model, site in admin.site._registry.items()
    if type(site).__module__.startswith(("assignments.", "rollout."))
]


@pytest.mark.parametrize("model", OURS, ids=lambda model: model._meta.label_lower)
def test_a_nul_in_an_address_is_refused(admin_client: Client, host: TheHost, model: Any) -> None:
    opts, site = model._meta, admin.site._registry[model]
    url = reverse(f"admin:{opts.app_label}_{opts.model_name}_changelist")
    filters = [each if isinstance(each, str) else getattr(each, "parameter_name", "") for each in site.list_filter]
    names = ["q", "o", "p", "e", "show", "restaurant", "date", "day", "done", "source", "since", "before", *filters]
    for name in filter(None, names):
        for asked in (name, f"{name}__exact", f"{name}__icontains"):
            assert admin_client.get(url, {asked: "a\0b"}).status_code in {200, 302, 400}, asked
    shown = admin_client.get(reverse(f"admin:{opts.app_label}_{opts.model_name}_change", args=["a\0b"]))
    assert shown.status_code in {302, 400, 403, 404}
