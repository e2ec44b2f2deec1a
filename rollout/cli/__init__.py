"""The actions of ``manage.py rollout``: one module per action, each with a class ``Action``."""
