"""What ``manage.py rollout`` can do: one module for each action, one class ``Action`` in each."""
