"""Starts GlitchTip's worker, whatever its version, and tells whether worker and web work.

    glitchtip-service.py worker         becomes the worker, once Redis answers: takes the script that the image has
    glitchtip-service.py check-worker   health check: it waits on its queue, its scheduler is alive,
                                        and it finishes the events that it has taken
    glitchtip-service.py check-web      health check: a page that needs the database comes
    glitchtip-service.py check-replica  the same for one of several: once such a page has come, any page will do,
                                        since a database that is away must not end all of them
    glitchtip-service.py retry-events   queues those events again that failed for want of PostgreSQL;
                                        check-worker does this when there are any

Docker restarts nothing that is merely unhealthy. So a check that has seen for long
enough that its service lives without working ends it, at most once a minute, and the
restart policy brings it back. It never does so for the sake of Redis or PostgreSQL.

The faults of the worker, measured in 2026-11:
- django-vtasks 3.1.0, of GlitchTip 6.2.6: a request to Redis that meets a lost
  connection, or a Redis that is away for ten seconds, ends the scheduler for good.
  Alerts, retention and new partitions stop, and nothing else shows it.
- celery-batches 0.10, of GlitchTip 5.2: after a lost connection the timer is gone
  that hands collected events on. They wait for ever, unacknowledged.
- django-vtasks: events that meet a PostgreSQL which is away are not tried again, but
  kept with what failed, where nobody looks.
What both lose of a batch is the affair of glitchtip_worker.py, the worker's settings.

Python's own library is all that this needs, except to retry events: the images differ.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.parse

SCRIPTS = ["bin/run-worker.sh", "bin/run-celery-with-beat.sh"]
FALLBACK = ["python", "manage.py", "runworker", "--scheduler"]
SETTINGS = "/glitchtip-worker/glitchtip_worker.py"

# What vtasks calls the lock that its scheduler renews each second; it lives for 15. Until 2.0 without braces.
SCHEDULER_LOCKS = ["{vt}:scheduler:vtasks_scheduler_lock", "vt:scheduler:vtasks_scheduler_lock"]
# Where vtasks puts tasks that failed, the newest first, and what their traceback names when PostgreSQL was away, or had
# just become a standby of another.
FAILED = ["{vt}:q:failed", "vt:q:failed"]
STORE_WAS_AWAY = ["OperationalError", "InterfaceError", "PoolTimeout", "in a read-only transaction"]
# PostgreSQL's reasons never to take an event, which Django calls OperationalError too.
IS_NEVER_STORED = ["ProgramLimitExceeded", "QueryCanceled"]
SECONDS_OF_RETRYING = 3600
# Where kombu keeps what a Celery worker has taken and not acknowledged, and when it took it.
UNACKNOWLEDGED, TAKEN_AT = "unacked", "unacked_index"
# The events' own tasks: others may rightly wait, for their hour to come.
EVENT_TASKS = "event_ingest"

# Unlike /_health/, this one asks the database.
PAGE_OF_DATABASE = "/api/settings/"

# A worker asks its queue again after a second or two.
LONGEST_WAIT = 15
# GlitchTip hands collected events on after two seconds, and acknowledges them when they are stored.
LONGEST_HOLD = 20
# Touched by the worker's settings while it tries to store events in a PostgreSQL that is away.
WAITS_FOR_DATABASE = "/tmp/worker-waits-for-database"

# For how many seconds a fault must have been seen before the service is ended.
WORKER_PATIENCE, WORKER_PATIENCE_AT_START, WEB_PATIENCE = 8, 180, 55
SECONDS_BETWEEN_RESTARTS = 60
RESTARTED = "analytics:glitchtip-worker:restarted"
# Notes from one check to the next; a restart of the container forgets them.
WAS_WELL, SEEN_ILL, WAS_ENDED = "/tmp/check-was-well", "/tmp/check-seen-ill", "/tmp/check-was-ended"
SEEN_FAILED = "/tmp/check-seen-failed"


def main():
    verbs = {
        "worker": become_worker,
        "check-worker": check_worker,
        "check-web": check_web,
        "check-replica": check_replica,
        "retry-events": retry_events,
    }
    if len(sys.argv) != 2 or sys.argv[1] not in verbs:
        sys.exit(f"usage: glitchtip-service.py {'|'.join(verbs)}")
    verbs[sys.argv[1]]()


def become_worker():
    if os.path.exists(SETTINGS):
        folder, name = os.path.split(SETTINGS)
        os.environ["PYTHONPATH"] = folder
        os.environ["DJANGO_SETTINGS_MODULE"] = name.removesuffix(".py")
    wait_for_redis()
    script = next((script for script in SCRIPTS if os.path.exists(script)), None)
    if script is None:
        os.environ["IS_WORKER"] = "true"
        os.execvp(FALLBACK[0], FALLBACK)
    if "celery" in script:
        return_unacknowledged()
    os.execv(script, [script])


def wait_for_redis():
    """A Redis that is away at the start ends vtasks' scheduler, and hides what an earlier worker had taken."""
    reported = False
    while True:
        try:
            with Redis() as redis:
                redis.ask("PING")
                return
        except OSError as error:
            if not reported:
                print(f"waits for Redis: {error}", file=sys.stderr, flush=True)
                reported = True
            time.sleep(1)


def check_worker():
    try:
        with Redis() as redis:
            stuck = find_stuck_event(redis)
            fault = stuck or find_fault(redis)
            if fault is None:
                note_well()
                return retry_events_if_any(redis)
            patience = WORKER_PATIENCE_AT_START
            if os.path.exists(WAS_WELL):
                # An event that is stuck has been so for long enough already.
                patience = 0 if stuck else WORKER_PATIENCE
            # The note is in Redis, since it must outlive the container's own.
            if seconds_seen(fault) >= patience and redis.ask(
                "SET", RESTARTED, fault, "NX", "EX", SECONDS_BETWEEN_RESTARTS
            ):
                fault += "; ended the worker, to start it anew"
                end_service()
    except OSError as error:
        # Not the worker's fault, and none of its own can be seen.
        forget_illness()
        fault = f"Redis does not answer: {error}"
    sys.exit(fault)


def check_replica():
    check_web("/_health/" if os.path.exists(WAS_WELL) else PAGE_OF_DATABASE)


def check_web(page=PAGE_OF_DATABASE):
    port = int(os.environ.get("PORT") or 8000)
    try:
        # A socket costs a third of what urllib does, and knows no proxy.
        with socket.create_connection(("127.0.0.1", port), 5) as web:
            web.settimeout(8)
            web.sendall(f"GET {page} HTTP/1.0\r\nHost: localhost\r\n\r\n".encode())
            answer = web.recv(64).decode(errors="replace").partition("\r\n")[0]
    except OSError as error:
        answer = f"nothing: {error}"
    if " 200 " in answer:
        return note_well()
    fault = f"{page} answers {answer}"
    if answer.startswith("HTTP/"):
        # It works; what it needs does not.
        forget_illness()
    elif os.path.exists(WAS_WELL) and seconds_seen("no answer") >= WEB_PATIENCE:
        fault += "; ended the service, to start it anew"
        end_service()
    sys.exit(fault)


def return_unacknowledged():
    """Puts back what a killed Celery worker had taken; by itself that happens after an hour.

    Only where no other worker is there, which could be at work on it.
    """
    try:
        with Redis() as redis:
            if any(client.get("cmd") == "brpop" for client in redis.clients()):
                return
            for tag in redis.ask("HKEYS", UNACKNOWLEDGED):
                held = redis.ask("HGET", UNACKNOWLEDGED, tag)
                message, _, queue = json.loads(held)
                # The end that workers take from.
                redis.ask("RPUSH", queue, json.dumps(message))
                redis.ask("HDEL", UNACKNOWLEDGED, tag)
                redis.ask("ZREM", TAKEN_AT, tag)
    except (OSError, ValueError) as error:
        print(f"left what an earlier worker had taken: {error}", file=sys.stderr)


def find_fault(redis):
    ours = [client for client in redis.clients() if client["addr"].rpartition(":")[0] == redis.own_address]
    waits = [client for client in ours if client["cmd"].startswith("b")]
    if not waits:
        return "no worker waits on the queue"
    if all(int(client["idle"]) > LONGEST_WAIT for client in waits):
        return f"the worker has not asked the queue for {LONGEST_WAIT} s"
    is_vtasks = any(client["cmd"].startswith("blm") for client in waits)
    if is_vtasks and not redis.ask("EXISTS", *SCHEDULER_LOCKS):
        return "the worker waits on its queue, but its scheduler is dead: no alerts, no retention, no new partitions"
    return None


def retry_events_if_any(redis):
    """In a process of its own, since that takes the image's packages, which a check is too short for."""
    newest = [redis.ask("LINDEX", name, 0) for name in FAILED]
    if any(newest) and repr(newest) != read_note(SEEN_FAILED):
        subprocess.run([sys.executable, __file__, "retry-events"], check=False)
        newest = [redis.ask("LINDEX", name, 0) for name in FAILED]
    write_note(SEEN_FAILED, repr(newest))


def retry_events():
    from django_vtasks.serialization import deserialize, serialize

    with Redis() as redis:
        for name in FAILED:
            position = retried = 0
            while (raw := redis.ask("LINDEX", name, position, decoded=False)) is not None:
                task = deserialize(raw)
                if task.get("failed_at", 0) < time.time() - SECONDS_OF_RETRYING:
                    break
                if not is_worth_retrying(task):
                    position += 1
                    continue
                for key in ["error_msg", "error_traceback", "failed_at"]:
                    task.pop(key, None)
                redis.ask("LPUSH", name.removesuffix("failed") + task["queue"], serialize(task))
                redis.ask("LREM", name, 1, raw)
                retried += 1
            if retried:
                print(f"queued {retried} events again that failed while PostgreSQL was away")


def is_worth_retrying(task):
    is_event = EVENT_TASKS in task.get("func", "")
    is_recent = task.get("ts", 0) > time.time() - SECONDS_OF_RETRYING
    said = task.get("error_traceback", "")
    was_away = any(word in said for word in STORE_WAS_AWAY) and not any(word in said for word in IS_NEVER_STORED)
    return is_event and is_recent and was_away


def find_stuck_event(redis):
    """An event that a Celery worker has taken and then neither stored nor given up."""
    if time.time() - changed_at(WAITS_FOR_DATABASE) < LONGEST_WAIT:
        return None
    for tag in redis.ask("ZRANGEBYSCORE", TAKEN_AT, "-inf", time.time() - LONGEST_HOLD, "LIMIT", 0, 20):
        if EVENT_TASKS in (redis.ask("HGET", UNACKNOWLEDGED, tag) or ""):
            return f"events that the worker has taken are not stored after {LONGEST_HOLD} s"
    return None


def note_well():
    write_note(WAS_WELL, "")
    forget_illness()


def forget_illness():
    for note in [SEEN_ILL, WAS_ENDED]:
        if os.path.exists(note):
            os.remove(note)


def seconds_seen(fault):
    """For how long the checks have seen this fault; the first look at it is noted."""
    since, _, seen = read_note(SEEN_ILL).partition(" ")
    if seen == fault:
        return time.time() - float(since)
    write_note(SEEN_ILL, f"{time.time()} {fault}")
    return 0


def read_note(name):
    try:
        with open(name, encoding="utf-8") as file:
            return file.read()
    except FileNotFoundError:
        return ""


def changed_at(name):
    try:
        return os.path.getmtime(name)
    except FileNotFoundError:
        return 0


def write_note(name, text):
    with open(name, "w", encoding="utf-8") as file:
        file.write(text)


def end_service():
    """Asks the service to stop; one that was asked before is killed."""
    kind = signal.SIGKILL if os.path.exists(WAS_ENDED) else signal.SIGTERM
    write_note(WAS_ENDED, "")
    for process in children_of_init():
        os.kill(process, kind)


def children_of_init():
    """The service itself: process 1 is Docker's init, which ends with it."""
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/stat", encoding="utf-8") as file:
                parent = int(file.read().rpartition(")")[2].split()[1])
        except OSError:
            continue
        if parent == 1:
            found.append(int(name))
    return found


class Redis:
    """As much of a client as is needed here."""

    def __init__(self):
        url = urllib.parse.urlsplit(os.environ.get("VALKEY_URL") or os.environ.get("REDIS_URL") or "redis://redis:6379")
        self.socket = socket.create_connection((url.hostname, url.port or 6379), 5)
        self.reader = self.socket.makefile("rb")
        self.own_address = self.socket.getsockname()[0]
        if url.password:
            self.ask("AUTH", *filter(None, [url.username]), urllib.parse.unquote(url.password))
        if url.path.strip("/"):
            self.ask("SELECT", url.path.strip("/"))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def ask(self, *words, decoded=True):
        encoded = [word if isinstance(word, bytes) else str(word).encode() for word in words]
        self.socket.sendall(b"*%d\r\n" % len(encoded) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w) for w in encoded))
        answer = self.answer()
        return answer.decode(errors="replace") if decoded and isinstance(answer, bytes) else answer

    def answer(self):
        line = self.reader.readline()
        if not line.endswith(b"\r\n"):
            raise ConnectionError("the connection was lost")
        kind, value = line[:1], line[1:-2].decode()
        if kind == b"-":
            raise ConnectionError(value)
        if kind == b"*":
            answers = [self.answer() for _ in range(int(value))]
            return [one.decode(errors="replace") if isinstance(one, bytes) else one for one in answers]
        if kind == b"$":
            return None if value == "-1" else self.reader.read(int(value) + 2)[:-2]
        return int(value) if kind == b":" else value

    def clients(self):
        lines = self.ask("CLIENT", "LIST").splitlines()
        return [dict(word.partition("=")[::2] for word in line.split(" ")) for line in lines]


if __name__ == "__main__":
    main()
