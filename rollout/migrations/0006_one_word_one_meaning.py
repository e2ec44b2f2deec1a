"""Explanation becomes Waiver, Pin becomes ForcedPlanner, held becomes paused; and so do the permissions, with their grants.

What was recorded (``Change``) is append-only: its rows keep the words in which they were written.
"""

from typing import Any

from django.apps.registry import Apps
from django.conf import settings
from django.db import migrations, models

MODELS = {"explanation": ("waiver", "waiver"), "pin": ("forcedplanner", "forced planner")}
"""Model and its name for people, by what the model was called before."""
STEERING = {
    "hold": ("Can hold the rollout, and release it", "pause", "Can pause the rollout, and resume it"),
    "pin": ("Can pin a restaurant to a planner", "force_planner", "Can force a planner for a restaurant"),
    "explain": (
        "Can explain a known difference between the planners",
        "waive",
        "Can accept a known difference between the planners",
    ),
}


def _permissions() -> list[tuple[str, str, str, str]]:
    """Each as codename and name before, codename and name after."""
    found = [(before, name, after, new_name) for before, (name, after, new_name) in STEERING.items()]
    for old, (new, words) in MODELS.items():
        for verb in ("add", "change", "delete", "view"):
            found.append((f"{verb}_{old}", f"Can {verb} {old}", f"{verb}_{new}", f"Can {verb} {words}"))
    return found


def rename(apps: Apps, schema_editor: Any) -> None:
    for before, _, after, name in _permissions():
        _rename(apps, schema_editor.connection.alias, before, after, name)


def rename_back(apps: Apps, schema_editor: Any) -> None:
    for before, name, after, _ in _permissions():
        _rename(apps, schema_editor.connection.alias, after, before, name)


def _rename(apps: Apps, alias: str, before: str, after: str, name: str) -> None:
    """Where the new one is there already (Django renames some by itself), the grants move to it."""
    permissions = apps.get_model("auth", "Permission").objects.using(alias).filter(content_type__app_label="rollout")
    old, new = permissions.filter(codename=before).first(), permissions.filter(codename=after).first()
    if old is None:
        if new is not None:
            permissions.filter(pk=new.pk).update(name=name)
        return
    if new is None:
        permissions.filter(pk=old.pk).update(codename=after, name=name)
        return
    for holders in ("user_set", "group_set"):
        if hasattr(new, holders):  # A project's own user model may know no permissions.
            getattr(new, holders).add(*getattr(old, holders).all())
    old.delete()


class Migration(migrations.Migration):
    dependencies = [
        ("rollout", "0005_comparison_compared"),
        ("auth", "0012_alter_user_first_name_max_length"),
        ("contenttypes", "0002_remove_content_type_name"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.RenameModel("Explanation", "Waiver"),
        migrations.RenameModel("Pin", "ForcedPlanner"),
        migrations.RenameField("Position", "held", "paused"),
        migrations.RunPython(rename, rename_back),
        migrations.AlterModelOptions(
            name="forcedplanner",
            options={
                "ordering": ["restaurant_ref"],
                "verbose_name": "forced planner",
                "verbose_name_plural": "forced planners",
            },
        ),
        migrations.AlterModelOptions(
            name="position",
            options={
                "permissions": [
                    ("promote", "Can promote the rollout to the next stage"),
                    ("roll_back", "Can roll the rollout back"),
                    ("pause", "Can pause the rollout, and resume it"),
                    ("force_planner", "Can force a planner for a restaurant"),
                    ("waive", "Can accept a known difference between the planners"),
                    ("override_gates", "Can promote although gates do not pass"),
                    ("toggle", "Can toggle the rollout's switches"),
                ],
                "verbose_name": "position",
                "verbose_name_plural": "rollout",
            },
        ),
        migrations.AlterModelOptions(
            name="waiver",
            options={"ordering": ["expires_at"], "verbose_name": "waiver", "verbose_name_plural": "waivers"},
        ),
        migrations.AlterField(
            model_name="change",
            name="kind",
            field=models.TextField(
                choices=[
                    ("stage", "stage"),
                    ("switch", "switch"),
                    ("pause", "pause"),
                    ("resume", "resume"),
                    ("forced_planner", "forced planner"),
                    ("waiver", "waiver"),
                ]
            ),
        ),
        migrations.AlterField(
            model_name="change",
            name="subject",
            field=models.TextField(help_text="The stage, switch, restaurant or waiver."),
        ),
        migrations.AlterField(
            model_name="forcedplanner",
            name="planner",
            field=models.TextField(choices=[("v3", "V3"), ("legacy", "legacy planner")]),
        ),
        migrations.AlterField(
            model_name="position",
            name="paused",
            field=models.BooleanField(default=False, help_text="Nobody may promote until it is resumed."),
        ),
    ]
