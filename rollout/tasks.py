"""The task for a project's queue that runs ``manage.py rollout``. See ``assignments.tasks`` for what it needs."""

from django.core.management import call_command

from assignments.tasks import task


@task
def rollout(*arguments: str) -> None:
    """Run ``manage.py rollout`` with these arguments, such as ``"guard"``."""
    call_command("rollout", *arguments)
