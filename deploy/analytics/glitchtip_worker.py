"""The settings of GlitchTip's worker: GlitchTip's own, and no event is out of Redis before it is stored.

`glitchtip-service.py worker` starts the worker with this module as DJANGO_SETTINGS_MODULE.
Whatever kills it, the events that it had in hand are still in Redis, and the next worker
takes them again. So an event can be stored twice, and none is lost.

As they come, measured in 2026-11:
- django-vtasks 3.1.0, of GlitchTip 6.2.6, takes up to a hundred events out of Redis at
  once and keeps them in memory only.
- celery-batches 0.10, of GlitchTip 5.2, acknowledges events when it begins to store them,
  and forgets them if PostgreSQL is away just then. kombu 5.5 takes a task out of Redis and
  notes in a second step that it has it.
- Both give up the whole batch for one event that PostgreSQL never takes.

Anything else is GlitchTip's affair. Other versions of the queues are left as they are.
"""

import asyncio
import pathlib
import sys
import time

from glitchtip.settings import *  # noqa: F403

VTASKS = "django_vtasks.backends.valkey.ValkeyTaskBackend"
# Its health check is patient meanwhile.
WAITS_FOR_DATABASE = pathlib.Path("/tmp/worker-waits-for-database")
EVENT_TASKS = ["apps.event_ingest.tasks.ingest_event", "apps.event_ingest.tasks.ingest_transaction"]


# Of PostgreSQL's errors those that the events did not cause, by the first two digits of their code: a connection,
# a transaction that met another, want of disk or memory, an object in use, an end that somebody ordered, the system.
PASSING = ["08", "40", "53", "55", "57", "58"]
# A session that was moved to a server which only reads.
READ_ONLY = "25006"
# A query that took too long may do so each time.
CANCELLED = "57014"


def passes(error):
    """Whether the same events may be stored a little later."""
    from django.db import Error, InterfaceError, OperationalError

    code = getattr(error.__cause__, "sqlstate", None) if isinstance(error, Error) else None
    if code is None:
        return isinstance(error, (InterfaceError, OperationalError))
    return code == READ_ONLY or (code[:2] in PASSING and code != CANCELLED)


def stored_sooner_or_later(store):
    """Waits for a database that is away. An event that cannot be stored takes none of its batch with it."""

    def store_all(requests):
        from django.db import close_old_connections

        while True:
            try:
                return store(requests)
            except Exception as error:
                if not passes(error):
                    raise
                print(f"trying again to store {len(requests)} events: {first_line(error)}", file=sys.stderr)
                WAITS_FOR_DATABASE.touch()
                close_old_connections()
                time.sleep(1)

    def stored(_task, requests):
        try:
            return store_all(requests)
        except Exception as error:
            if len(requests) == 1:
                raise
            print(f"storing {len(requests)} events one by one: {first_line(error)}", file=sys.stderr)
        for request in requests:
            try:
                store_all([request])
            except Exception as error:
                print(f"event of task {request.id} cannot be stored: {first_line(error)}", file=sys.stderr)

    return stored


def first_line(error):
    """What follows may be of the event."""
    return f"{type(error).__name__}: {error}".splitlines()[0]


if globals().get("CELERY_BROKER_URL", "").startswith("redis"):
    from kombu.transport.redis import Channel, Empty, QoS, Transport, bytes_to_str, loads

    # Acknowledged when stored.
    CELERY_TASK_ANNOTATIONS = {
        name: {"acks_late": True, "@run": stored_sooner_or_later} for name in EVENT_TASKS
    }
    if hasattr(Channel, "_brpop_start"):
        CELERY_BROKER_TRANSPORT = "glitchtip_worker:KeepingTransport"

    QUEUE = globals().get("CELERY_TASK_DEFAULT_QUEUE", "celery")
    # What a worker has taken out of its queue and not noted yet.
    TAKEN = "analytics:glitchtip-worker:taken"

    class KeepingQoS(QoS):
        def append(self, message, delivery_tag):
            super().append(message, delivery_tag)
            if self.channel.taken:
                with self.channel.conn_or_acquire() as client:
                    client.lrem(TAKEN, 1, self.channel.taken)
                self.channel.taken = None

    class KeepingChannel(Channel):
        """Takes a task as kombu does, and lays a copy of it aside at once.

        Not so from other queues: at its start a worker reads the others' replies to its greeting from one.
        """

        QoS = KeepingQoS
        taken = None
        has_begun = False

        @property
        def keeps(self):
            return set(self.active_queues) == {QUEUE}

        def _brpop_start(self, timeout=1):
            if not self.keeps:
                return super()._brpop_start(timeout)
            if not self.has_begun:
                self.return_taken()
            self._in_poll = self.client.connection
            self.client.connection.send_command("BRPOPLPUSH", QUEUE, TAKEN, timeout)

        def return_taken(self):
            """Left by a worker that was killed, or by a connection that was lost."""
            with self.conn_or_acquire() as client:
                while client.lmove(TAKEN, QUEUE, "LEFT", "RIGHT"):
                    pass
            self.has_begun = True

        def _brpop_read(self, **options):
            if not self.keeps:
                return super()._brpop_read(**options)
            try:
                try:
                    self.taken = self.client.parse_response(self.client.connection, "BRPOPLPUSH", **options)
                except self.connection_errors:
                    self.client.connection.disconnect()
                    raise
                if not self.taken:
                    raise Empty()
                self.connection._deliver(loads(bytes_to_str(self.taken)), QUEUE)
                return True
            finally:
                self._in_poll = None

    class KeepingTransport(Transport):
        Channel = KeepingChannel


_backend = globals().get("TASKS", {}).get("default", {})
if _backend.get("BACKEND") == VTASKS:
    from django_vtasks.backends.valkey import ValkeyTaskBackend
    from django_vtasks.conf import get_batch_queues
    from django_vtasks.serialization import deserialize, serialize

    if hasattr(ValkeyTaskBackend, "fetch_batch"):
        _backend["BACKEND"] = "glitchtip_worker.KeepingBackend"

    # How often events are taken again whose worker was killed: they may be what killed it.
    MOST_RESCUES = 3

    # From queue 1 to list 2, at most so many, the oldest first.
    TAKE = """
    local taken = {}
    for number = 1, tonumber(ARGV[1]) do
      local task = redis.call('LMOVE', KEYS[1], KEYS[2], 'RIGHT', 'LEFT')
      if not task then break end
      taken[number] = task
    end
    return taken
    """
    # A task, once, from list 1 to where queue 2 is served first.
    RETURN = """
    local found = redis.call('LREM', KEYS[1], 1, ARGV[1])
    if found == 1 then redis.call('RPUSH', KEYS[2], ARGV[2]) end
    return found
    """

    class KeepingBackend(ValkeyTaskBackend):
        """Takes a batch as vtasks takes single tasks: into the list of what this worker has in hand.

        What failed in a batch is tried alone, and is given up if it fails again.
        """

        def __init__(self, alias, params):
            super().__init__(alias, params)
            self.in_hand = set()
            self.stored = set()
            self.has_begun = False
            self.may_have_taken_more = False

        @property
        def taken_key(self):
            return self._get_key(f"processing:{self.worker_id}")

        async def fetch_batch(self, queue, count, timeout):
            source, deadline = self._get_key(f"q:{queue}"), time.monotonic() + timeout
            batch = []
            try:
                await self.forget(self.stored)
                if self.may_have_taken_more:
                    # Redis went away while it answered.
                    batch += [raw for raw in await self.driver.lrange(self.taken_key, 0, -1) if self.is_unseen(raw, queue)]
                    self.may_have_taken_more = False
                if not batch:
                    batch += await self.driver.eval(TAKE, [self.alone_key(queue), self.taken_key], [b"1"])
                    count = len(batch) or count
                while len(batch) < count and (left := deadline - time.monotonic()) > 0:
                    first = await self.driver.blmove(source, self.taken_key, "RIGHT", "LEFT", max(left, 0.01))
                    if first is None:
                        break
                    batch.append(first)
                    batch += await self.driver.eval(TAKE, [source, self.taken_key], [str(count - len(batch)).encode()])
            except Exception:
                self.may_have_taken_more = True
            self.in_hand.update(batch)
            return [{**deserialize(raw), "_raw": raw} for raw in batch]

        def is_unseen(self, raw, queue):
            return raw not in self.in_hand and deserialize(raw)["queue"] == queue

        async def _ack_batch(self, tasks):
            self.stored.update(task["_raw"] for task in tasks)
            try:
                await self.forget(self.stored)
            except Exception:
                # Stored they are. The next fetch tries it again.
                pass

        async def forget(self, stored):
            """Takes what is stored from the list of what is in hand."""
            raws = list(stored)
            if raws:
                await self.driver.pipeline_exec([("LREM", [self.taken_key.encode(), b"1", raw]) for raw in raws])
                self.in_hand.difference_update(raws)
                stored.difference_update(raws)

        async def _fail_task(self, task_data, exception):
            raw = task_data["_raw"]
            may_be_anothers_fault = task_data["queue"] in get_batch_queues() and not task_data.get("_is_alone")
            if may_be_anothers_fault and not passes(exception):
                task = {key: value for key, value in task_data.items() if key != "_raw"}
                keys = [self.taken_key, self.alone_key(task["queue"])]
                await self.driver.eval(RETURN, keys, [raw, serialize({**task, "_is_alone": True})])
            else:
                await super()._fail_task(task_data, exception)
            self.in_hand.discard(raw)

        def alone_key(self, queue):
            return self._get_key(f"q:{queue}:alone")

        async def _rescue_tasks(self):
            """Nothing is taken before the first time has worked: then it would be in the list of an earlier worker."""
            while not self.has_begun:
                try:
                    await self.rescue_once()
                    self.has_begun = True
                    return
                except Exception as error:
                    print(f"looks again for what earlier workers had taken: {error}", file=sys.stderr, flush=True)
                    await asyncio.sleep(1)
            await self.rescue_once()

        async def rescue_once(self):
            """Of workers that are gone, whatever their host; of this one's own list, only what an earlier one left.

            vtasks looks at one host alone, and in its sweeps at its own list too, where live tasks are.
            """
            alive = {self.name_of(key, "alive:") for key in await self.driver.scan_all(self._get_key("alive:*"))}
            for key in await self.driver.scan_all(self._get_key("processing:*")):
                worker = self.name_of(key, "processing:")
                is_of_this_host = worker.startswith(f"{self.hostname}-")
                # In a container there is one worker: at its start, the others of its name are dead.
                is_in_use = self.has_begun if worker == self.worker_id else worker in alive
                if is_in_use and (self.has_begun or not is_of_this_host):
                    continue
                await self.return_events(self._get_key(f"processing:{worker}"))
                if is_of_this_host:
                    await self._rescue_processing_key(self._get_key(f"processing:{worker}"))

        def name_of(self, key, prefix):
            name = key.decode() if isinstance(key, bytes) else key
            return name.removeprefix(self._get_key(prefix))

        async def return_events(self, key):
            for raw in await self.driver.lrange(key, 0, -1):
                task = deserialize(raw)
                rescues = task.get("_rescue_count", 0)
                if task["queue"] in get_batch_queues() and rescues < MOST_RESCUES:
                    again = serialize({**task, "_rescue_count": rescues + 1})
                    await self.driver.eval(RETURN, [key, self._get_key(f"q:{task['queue']}")], [raw, again])
