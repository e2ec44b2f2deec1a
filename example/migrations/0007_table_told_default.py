"""The release before writes bookings while this one's migrations are in already, and does not know the column."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("example", "0006_table_told")]

    operations = [
        migrations.AlterField(
            model_name="booking",
            name="table_told",
            field=models.BooleanField(
                db_default=False, default=False, help_text="The guest has been told the table, so that it stays."
            ),
        ),
    ]
