from apps.event_ingest.process import process_events
from glitchtip.version import arguments, batch


@batch
def ingest_event(tasks):
    """Takes up to a hundred events at once; if it fails, all of them have failed."""
    process_events(arguments(tasks))
