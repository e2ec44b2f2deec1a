"""Plainer help texts. Nothing else changes."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("assignments", "0008_exact_totals"),
    ]

    operations = [
        migrations.AlterField(
            model_name="allocation",
            name="token",
            field=models.UUIDField(
                blank=True, help_text="Identifies a hold, which may cover several tables.", null=True
            ),
        ),
        migrations.AlterField(
            model_name="assignment",
            name="due_at",
            field=models.DateTimeField(
                blank=True, help_text="Time of the next attempt; empty once decided.", null=True
            ),
        ),
        migrations.AlterField(
            model_name="assignment",
            name="planner",
            field=models.TextField(blank=True, default="", help_text="Planner that claimed it; empty until then."),
        ),
        migrations.AlterField(
            model_name="assignment",
            name="reason",
            field=models.TextField(blank=True, default="", help_text="Reason code of the last transition."),
        ),
        migrations.AlterField(
            model_name="assignment",
            name="service_date",
            field=models.DateField(help_text="Local date of the booking's start."),
        ),
        migrations.AlterField(
            model_name="attempt",
            name="trigger",
            field=models.TextField(help_text="Trigger: cron, inline or staff."),
        ),
        migrations.AlterField(
            model_name="event",
            name="at",
            field=models.DateTimeField(help_text="Time of the event, which may be before it was stored."),
        ),
        migrations.AlterField(
            model_name="run",
            name="breaker_open",
            field=models.IntegerField(default=0, help_text="Restaurant-days skipped after repeated errors."),
        ),
        migrations.AlterField(
            model_name="run",
            name="contended",
            field=models.IntegerField(default=0, help_text="Restaurant-days that another worker had locked."),
        ),
        migrations.AlterField(
            model_name="run",
            name="dropped_at",
            field=models.DateTimeField(blank=True, help_text="Time when a loss of events was last found.", null=True),
        ),
        migrations.AlterField(
            model_name="run",
            name="error",
            field=models.TextField(blank=True, default="", help_text="Type of the last error; never its message."),
        ),
        migrations.AlterField(
            model_name="run",
            name="failed_at",
            field=models.DateTimeField(blank=True, help_text="Time of the last unexpected error.", null=True),
        ),
        migrations.AlterField(
            model_name="run",
            name="failed_passes",
            field=models.IntegerField(default=0, help_text="Passes with an unexpected error, or aborted."),
        ),
        migrations.AlterField(
            model_name="run",
            name="taken_in",
            field=models.IntegerField(default=0, help_text="New bookings."),
        ),
        migrations.AlterField(
            model_name="run",
            name="version",
            field=models.TextField(blank=True, default="", help_text="Version of this app in the process."),
        ),
        migrations.AlterField(
            model_name="statetransition",
            name="actor",
            field=models.TextField(help_text="A planner, 'host' or 'staff:<user id>'."),
        ),
        migrations.AlterField(
            model_name="statetransition",
            name="correlation_id",
            field=models.UUIDField(
                help_text="Identifies the invocation, also on its attempts, events and log lines.", null=True
            ),
        ),
    ]
