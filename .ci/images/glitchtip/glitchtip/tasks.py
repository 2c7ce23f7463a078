"""What the scheduler starts: nothing that anyone sees, except the partitions."""

from glitchtip import partitions
from glitchtip.version import scheduled


@scheduled
def send_alert_notifications():
    pass


@scheduled
def dispatch_checks():
    pass


@scheduled
def perform_maintenance():
    partitions.maintain()
