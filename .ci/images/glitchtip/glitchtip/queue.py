"""What is kept in Redis: the events to be processed, login sessions, blocked projects."""

import redis
from django.conf import settings

EVENTS = "glitchtip:events"

client = redis.Redis.from_url(settings.REDIS_URL, socket_connect_timeout=2)
