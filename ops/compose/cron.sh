#!/bin/sh
# Runs what README.md has cron run, apart from the coordinator, which is the worker of compose.yaml. A command that fails says so,
# and is run again at its next time.
minute=0
while :; do
    python manage.py deliver_outbox
    if [ $((minute % 5)) -eq 0 ]; then
        python manage.py rollout compare
        python manage.py rollout guard
    fi
    if [ $((minute % 1440)) -eq 0 ]; then
        python manage.py reconcile_assignments
        python manage.py prune_assignments
        python manage.py rollout prune
    fi
    touch /tmp/cron-has-run
    minute=$((minute + 1))
    sleep 60
done
