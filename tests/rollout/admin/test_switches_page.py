"""Waffle's own admin: it keeps working, and the rollout's switches leave the same record there as everywhere."""

from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.test import Client
from django.urls import reverse
from waffle.models import AbstractBaseSwitch, Switch

from rollout.control import change_log, switches
from rollout.flags import resolution
from rollout.models import Change

Both = tuple[AbstractBaseSwitch, AbstractBaseSwitch]
pytestmark = pytest.mark.django_db(transaction=True)

LIST = "admin:waffle_switch_changelist"
ROLLOUTS_OWN = ("enable_switches", "disable_switches", "delete_individually")


@pytest.fixture
def both() -> Both:
    return (
        Switch.objects.create(name=resolution.V3_SWITCH, active=True),
        Switch.objects.create(name=resolution.SHADOW_SWITCH, active=False),
    )


@pytest.fixture
def staff(client: Client, django_user_model: Any) -> Client:
    """Somebody who may do everything with waffle's switches, and nothing with the rollout."""
    user = django_user_model.objects.create_user("anna", password="x", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(content_type__app_label="waffle"))
    client.force_login(user)
    return client


def active() -> dict[str, bool]:
    return dict(Switch.objects.values_list("name", "active"))


def values(name: str, **more: Any) -> dict[str, Any]:
    moment = {"created_0": "2026-01-01", "created_1": "12:00", "modified_0": "2026-01-01", "modified_1": "12:00"}
    return {"name": name, "note": "", **moment, **more}


def change_url(switch: Any) -> str:
    return reverse("admin:waffle_switch_change", args=[switch.pk])


def act(client: Client, action: str, *selected: Any, **more: str) -> str:
    sent = {"action": action, "_selected_action": [str(switch.pk) for switch in selected], **more}
    return client.post(reverse(LIST), sent, follow=True).content.decode()


def recorded() -> list[tuple[str, str, str, str, str]]:
    fields = ("subject", "before", "after", "actor", "reason")
    return list(Change.objects.order_by("id").values_list(*fields))


class TestForm:
    def test_saving_is_recorded_with_who_and_why(self, admin_client: Client, admin_user: Any, both: Both) -> None:
        answer = admin_client.post(change_url(both[0]), {"reason": "too many in review"})
        assert answer.status_code == 302
        assert recorded() == [(resolution.V3_SWITCH, "on", "off", f"user:{admin_user.pk}", "too many in review")]
        switch = Switch.objects.get(name=resolution.V3_SWITCH)
        assert (switch.active, switch.note) == (False, "too many in review")

    def test_adding_is_recorded(self, admin_client: Client, admin_user: Any) -> None:
        sent = values(resolution.SHADOW_SWITCH, active="on", reason="to look")
        answer = admin_client.post(reverse("admin:waffle_switch_add"), sent)
        assert answer.status_code == 302
        assert recorded() == [(resolution.SHADOW_SWITCH, "", "on", f"user:{admin_user.pk}", "to look")]
        assert active() == {resolution.SHADOW_SWITCH: True}

    @pytest.mark.parametrize("reason", ["", "  "])
    def test_it_asks_a_reason(self, admin_client: Client, both: Both, reason: str) -> None:
        answer = admin_client.post(change_url(both[0]), {"reason": reason})
        assert "A reason is required" in answer.content.decode()
        assert (active()[resolution.V3_SWITCH], recorded()) == (True, [])

    def test_contradicting_flags_are_refused(self, admin_client: Client, both: Both) -> None:
        answer = admin_client.post(change_url(both[1]), {"active": "on", "reason": "x"})
        assert "turn it off before" in answer.content.decode()
        assert (active()[resolution.SHADOW_SWITCH], recorded()) == (False, [])

    def test_a_contradiction_that_came_up_meanwhile_is_refused_under_the_lock(
        self, admin_client: Client, both: Both, monkeypatch: Any
    ) -> None:
        real, asked = switches.contradiction, []

        def nothing_yet(name: str, active: bool) -> str | None:
            asked.append(name)
            return None if len(asked) == 1 else real(name, active)

        monkeypatch.setattr(switches, "contradiction", nothing_yet)
        answer = admin_client.post(change_url(both[1]), {"active": "on", "reason": "x"}, follow=True)
        assert "turn it off before" in answer.content.decode()
        assert (active()[resolution.SHADOW_SWITCH], recorded()) == (False, [])

    def test_no_other_switch_is_renamed_to_one_of_ours(self, admin_client: Client) -> None:
        other = Switch.objects.create(name="new_menu", active=True)
        answer = admin_client.post(change_url(other), values(resolution.V3_SWITCH, active="on", reason="x"))
        assert "another one cannot be renamed to it" in answer.content.decode()
        assert active() == {"new_menu": True}

    def test_ours_keep_their_names(self, admin_client: Client, both: Both) -> None:
        admin_client.post(change_url(both[0]), values("something_else", active="on", reason="x"))
        assert set(active()) == {resolution.V3_SWITCH, resolution.SHADOW_SWITCH}

    def test_somebody_else_being_at_it_is_said(self, admin_client: Client, both: Both, monkeypatch: Any) -> None:
        def busy(*args: Any, **kwargs: Any) -> None:
            raise change_log.BusyError("Somebody else is at it.")

        monkeypatch.setattr(switches, "set_switch", busy)
        answer = admin_client.post(change_url(both[0]), {"reason": "x"}, follow=True)
        assert "Somebody else is at it." in answer.content.decode()


class TestActions:
    def test_the_second_of_two_is_refused(self, admin_client: Client, admin_user: Any, both: Both) -> None:
        Switch.objects.update(active=False)
        assert "turn it off before" in act(admin_client, "enable_switches", *both, reason="go")
        assert active() == {resolution.V3_SWITCH: True, resolution.SHADOW_SWITCH: False}
        assert recorded() == [(resolution.V3_SWITCH, "off", "on", f"user:{admin_user.pk}", "go")]

    def test_disabling_is_recorded(self, admin_client: Client, admin_user: Any, both: Both) -> None:
        act(admin_client, "disable_switches", both[0], reason="stop")
        assert active()[resolution.V3_SWITCH] is False
        assert recorded() == [(resolution.V3_SWITCH, "on", "off", f"user:{admin_user.pk}", "stop")]

    def test_deleting_is_recorded(self, admin_client: Client, admin_user: Any, both: Both) -> None:
        act(admin_client, "delete_individually", both[0], reason="the variable rules")
        assert active() == {resolution.SHADOW_SWITCH: False}
        assert recorded() == [(resolution.V3_SWITCH, "on", "", f"user:{admin_user.pk}", "the variable rules")]

    @pytest.mark.parametrize("action", ROLLOUTS_OWN)
    def test_without_a_reason_nothing_happens(self, admin_client: Client, both: Both, action: str) -> None:
        before = active()
        assert "A reason is required" in act(admin_client, action, *both)
        assert (active(), recorded()) == (before, [])

    def test_other_switches_are_nobodys_business(self, admin_client: Client, both: Both) -> None:
        other = Switch.objects.create(name="new_menu", active=False)
        act(admin_client, "enable_switches", other)
        assert active()["new_menu"] is True
        act(admin_client, "disable_switches", other)
        assert active()["new_menu"] is False
        admin_client.post(change_url(other), values("newer_menu", active="on"))
        assert active()["newer_menu"] is True
        act(admin_client, "delete_individually", other)
        assert "newer_menu" not in active()
        assert recorded() == []


class TestDeletePage:
    def url(self, switch: Any) -> str:
        return reverse("admin:waffle_switch_delete", args=[switch.pk])

    def test_it_asks_a_reason_and_records(self, admin_client: Client, admin_user: Any, both: Both) -> None:
        assert 'name="reason"' in admin_client.get(self.url(both[0])).content.decode()
        answer = admin_client.post(self.url(both[0]), {"post": "yes", "reason": " "}, follow=True)
        assert "A reason is required" in answer.content.decode()
        assert (len(active()), recorded()) == (2, [])
        assert admin_client.post(self.url(both[0]), {"post": "yes", "reason": "done"}).status_code == 302
        assert active() == {resolution.SHADOW_SWITCH: False}
        assert recorded() == [(resolution.V3_SWITCH, "on", "", f"user:{admin_user.pk}", "done")]

    def test_another_switch_is_deleted_as_ever(self, admin_client: Client) -> None:
        other = Switch.objects.create(name="new_menu", active=False)
        assert 'name="reason"' not in admin_client.get(self.url(other)).content.decode()
        admin_client.post(self.url(other), {"post": "yes"})
        assert (active(), recorded()) == ({}, [])


class TestPermission:
    """Who may change switches of waffle may not for that reason change the rollout's."""

    def test_ours_can_be_seen_and_not_changed(self, staff: Client, both: Both) -> None:
        page = staff.get(change_url(both[0]))
        assert page.status_code == 200
        assert 'name="_save"' not in page.content.decode()
        assert staff.post(change_url(both[0]), {"reason": "x"}).status_code == 403
        delete = reverse("admin:waffle_switch_delete", args=[both[0].pk])
        assert staff.post(delete, {"post": "yes", "reason": "x"}).status_code == 403
        assert (active()[resolution.V3_SWITCH], recorded()) == (True, [])

    def test_ours_cannot_be_added(self, staff: Client) -> None:
        sent = values(resolution.V3_SWITCH, active="on", reason="x")
        assert staff.post(reverse("admin:waffle_switch_add"), sent).status_code == 403
        assert active() == {}

    @pytest.mark.parametrize("action", ROLLOUTS_OWN)
    def test_actions_leave_ours_alone_and_say_so(self, staff: Client, both: Both, action: str) -> None:
        other = Switch.objects.create(name="new_menu", active=action == "disable_switches")
        before = active()
        text = act(staff, action, *both, other, reason="x")
        assert f"The switch {resolution.V3_SWITCH} is not changed: that needs the permission" in text
        assert {name: value for name, value in active().items() if name != "new_menu"} == {
            name: value for name, value in before.items() if name != "new_menu"
        }
        assert active().get("new_menu") != before["new_menu"]
        assert recorded() == []
