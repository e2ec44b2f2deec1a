"""Puts a help text in plain English."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("rollout", "0006_one_word_one_meaning")]

    operations = [
        migrations.AlterField(
            model_name="waiver",
            name="owner",
            field=models.TextField(help_text="Who is responsible for it: a team or a user id."),
        ),
    ]
