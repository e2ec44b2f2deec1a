"""The floors that passes have seen, so that an edited one is noticed."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("assignments", "0015_seating_history"),
    ]

    operations = [
        migrations.CreateModel(
            name="FloorSeen",
            fields=[
                ("restaurant_ref", models.TextField(primary_key=True, serialize=False)),
                ("fingerprint", models.TextField()),
            ],
            options={
                "verbose_name": "floor seen",
                "verbose_name_plural": "floors seen",
            },
        ),
        migrations.RunSQL(
            "ALTER TABLE assignments_floorseen ENABLE ROW LEVEL SECURITY",
            "ALTER TABLE assignments_floorseen DISABLE ROW LEVEL SECURITY",
        ),
    ]
