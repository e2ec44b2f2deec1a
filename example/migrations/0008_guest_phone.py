"""A guest's phone number and notes, for staff who may see them."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("example", "0007_table_told_default")]

    operations = [
        migrations.AddField(
            model_name="booking",
            name="guest_phone",
            field=models.CharField(blank=True, db_default="", max_length=40),
        ),
        migrations.AddField(
            model_name="booking",
            name="guest_notes",
            field=models.TextField(blank=True, db_default="", help_text="Allergies, a high chair, an anniversary."),
        ),
    ]
