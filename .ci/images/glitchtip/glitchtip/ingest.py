"""Takes events in: checks the key, and leaves the rest to the worker."""

import datetime
import gzip
import json
import re
import uuid
import zlib

from django.core.cache import cache
from django.http import HttpResponse, JsonResponse

from apps.event_ingest.tasks import ingest_event
from apps.projects.models import ProjectKey
from glitchtip import version

BLOCK_SECONDS = 30


def with_cors(response):
    response["Access-Control-Allow-Origin"] = "*"
    response["Access-Control-Allow-Headers"] = "*"
    return response


def key_of(request):
    for name in ("sentry_key", "glitchtip_key"):
        if name in request.GET:
            return request.GET[name]
    header = request.headers.get("X-Sentry-Auth") or request.headers.get("Authorization") or ""
    found = re.search(r"(?:sentry|glitchtip)_key=([^,\s]+)", header)
    return found[1] if found else None


def is_allowed(request, project_id):
    """A key that is refused is refused for a while; in 5.x every key of its project is."""
    try:
        key = uuid.UUID(key_of(request) or "")
    except ValueError:
        return False
    block = f"block:{project_id}:{key}" if version.BLOCKS_ONE_KEY else f"block:{project_id}"
    if cache.get(block):
        return False
    if ProjectKey.objects.filter(
        public_key=key, project_id=project_id, is_active=True, project__is_deleted=False
    ).exists():
        return True
    cache.set(block, "v", BLOCK_SECONDS)
    return False


def body_of(request):
    encoding = request.headers.get("Content-Encoding", "")
    if encoding == "gzip":
        return gzip.decompress(request.body)
    if encoding == "deflate":
        return zlib.decompress(request.body)
    return request.body


def enqueue(project_id, event):
    event["event_id"] = event.get("event_id") or uuid.uuid4().hex
    message = {
        "project": project_id,
        "event": event,
        "received": datetime.datetime.now(datetime.timezone.utc).isoformat(),
    }
    version.send(ingest_event, message)


def items(raw):
    """The envelope's header and its items, each a header and a payload."""
    line, _, rest = raw.partition(b"\n")
    found = []
    while rest.strip():
        head, _, rest = rest.partition(b"\n")
        head = json.loads(head)
        if "length" in head:
            payload, rest = rest[: head["length"]], rest[head["length"] + 1 :]
        else:
            payload, _, rest = rest.partition(b"\n")
        found.append((head, payload))
    return json.loads(line), found


def envelope(request, project_id):
    if request.method == "OPTIONS":
        return with_cors(HttpResponse())
    if request.method != "POST":
        return JsonResponse({"detail": "Method not allowed"}, status=405)
    if not is_allowed(request, project_id):
        return with_cors(JsonResponse({"detail": "Denied"}, status=version.DENIED["envelope"]))
    try:
        header, found = items(body_of(request))
        events = [json.loads(payload) for head, payload in found if head.get("type") == "event"]
    except (ValueError, KeyError, TypeError, OSError, zlib.error):
        return with_cors(JsonResponse({"detail": "Invalid envelope"}, status=400))
    for event in events:
        event.setdefault("event_id", header.get("event_id"))
        enqueue(project_id, event)
    return with_cors(JsonResponse({"id": header.get("event_id")}))


def store(request, project_id):
    if request.method == "OPTIONS":
        return with_cors(HttpResponse())
    if not is_allowed(request, project_id):
        return with_cors(JsonResponse({"detail": "Denied"}, status=version.DENIED["store"]))
    event = json.loads(body_of(request))
    enqueue(project_id, event)
    return with_cors(JsonResponse({"event_id": event["event_id"], "task_id": None}))
