"""A stand-in for Umami 3.1.0, for tests on machines that can pull no image.

It keeps the part of Umami's contract that the stack and the xtask rely on, as
measured on Umami 3.1.0 in 2026-11: tables and columns, the one-shot migration,
HOSTNAME as the address to bind to, the shipped login, and the HTTP interface
with its quirks:

- a heartbeat that never asks the database;
- a server that starts without a database and answers 500 while it is away, and
  a migration that ends at once when it is refused or finds nobody;
- a bot's User-Agent gets 200 and nothing is stored;
- a website with a name that exists is made a second time;
- a taken website id, or one that is no UUID, is a 500 with an empty body;
- a failed migration blocks all later ones, until it is resolved by hand.

It is no analytics tool: no user interface, one user, no teams, no filters.
"""

import base64
import datetime
import glob
import hashlib
import hmac
import http.server
import json
import os
import re
import signal
import socket
import sys
import time
import urllib.parse
import uuid

import bcrypt
import psycopg2
import psycopg2.extras

psycopg2.extras.register_uuid()

MIGRATION_LOCK = 72707369


# --- Database ---------------------------------------------------------------


class InvalidUrl(Exception):
    pass


def connection_settings():
    url = os.environ.get("DATABASE_URL", "")
    found = re.fullmatch(
        r"postgres(?:ql)?://([^:/?#@]*):([^/?#@]*)@([^:/?#@]+)(?::(\d+))?/([^/?#]*)(?:\?.*)?", url
    )
    if not found:
        # The real one prints the whole URL as well, password included.
        raise InvalidUrl(f"Invalid URL: {url}")
    user, password, host, port, name = found.groups()
    decode = urllib.parse.unquote
    return {
        "user": decode(user),
        "password": decode(password),
        "host": host,
        "port": int(port or 5432),
        "dbname": decode(name),
        "connect_timeout": 5,
    }


def connect():
    return psycopg2.connect(cursor_factory=psycopg2.extras.RealDictCursor, **connection_settings())


# --- Migration --------------------------------------------------------------


def migrate():
    """What `prisma migrate deploy` does, with its table and its error codes."""
    try:
        settings = connection_settings()
    except InvalidUrl as error:
        return fail(f"P1013: The provided database string is invalid. {error}")
    where = f"{settings['host']}:{settings['port']}"
    try:
        connection = connect()
    except psycopg2.OperationalError as error:
        if "password authentication failed" in str(error):
            return fail(
                "P1000: Authentication failed against database server, the provided "
                f"database credentials for `{settings['user']}` are not valid."
            )
        if "does not exist" in str(error):
            return fail(f"P1003: Database `{settings['dbname']}` does not exist on the database server at `{where}`.")
        if "permission denied" in str(error):
            return fail(f"P1010: User `{settings['user']}` was denied access on the database `{settings['dbname']}`")
        return fail(f"P1001: Can't reach database server at `{where}`")
    print(f'Datasource "db": PostgreSQL database "{settings["dbname"]}", schema "public" at "{where}"')
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute("select pg_advisory_lock(%s)", (MIGRATION_LOCK,))
        return deploy(cursor)


def deploy(cursor):
    try:
        cursor.execute(
            """create table if not exists _prisma_migrations (
                id varchar(36) primary key,
                checksum varchar(64) not null,
                finished_at timestamptz,
                migration_name varchar(255) not null,
                logs text,
                rolled_back_at timestamptz,
                started_at timestamptz not null default now(),
                applied_steps_count integer not null default 0)"""
        )
    except psycopg2.errors.InsufficientPrivilege as error:
        return fail(f"ERROR: {error.pgerror.splitlines()[0][8:]} (42501)")
    cursor.execute(
        "select migration_name, started_at at time zone 'UTC' as started_at from _prisma_migrations"
        " where finished_at is null and rolled_back_at is null"
    )
    failed = cursor.fetchone()
    if failed:
        return fail(
            "P3009\n\nmigrate found failed migrations in the target database, new migrations will not be "
            "applied. Read more about how to resolve migration issues in a production database: "
            "https://pris.ly/d/migrate-resolve\n"
            f"The `{failed['migration_name']}` migration started at {failed['started_at']} UTC failed"
        )
    cursor.execute("select migration_name from _prisma_migrations where finished_at is not null")
    done = {row["migration_name"] for row in cursor.fetchall()}
    files = sorted(glob.glob(os.path.join(os.path.dirname(__file__), "migrations", "*.sql")))
    print(f"{len(files)} migrations found in prisma/migrations")
    applied = 0
    for path in files:
        name = os.path.splitext(os.path.basename(path))[0]
        if name in done:
            continue
        with open(path, encoding="utf-8") as file:
            sql = file.read()
        if "@SHIPPED_HASH@" in sql:
            sql = sql.replace("@SHIPPED_HASH@", bcrypt.hashpw(b"umami", bcrypt.gensalt(10, b"2b")).decode())
        key = str(uuid.uuid4())
        cursor.execute(
            "insert into _prisma_migrations (id, checksum, migration_name) values (%s, %s, %s)",
            (key, hashlib.sha256(sql.encode()).hexdigest(), name),
        )
        print(f"Applying migration `{name}`")
        try:
            # Several statements in one message are one transaction.
            cursor.execute(sql)
        except psycopg2.Error as error:
            cursor.execute("update _prisma_migrations set logs = %s where id = %s", (str(error), key))
            return fail(
                "P3018\n\nA migration failed to apply. New migrations cannot be applied before the error is "
                f"recovered from.\n\nMigration name: {name}\n\nDatabase error code: {error.pgcode}\n\n"
                f"Database error:\n{error.pgerror}"
            )
        cursor.execute(
            "update _prisma_migrations set finished_at = now(), applied_steps_count = 1 where id = %s", (key,)
        )
        applied += 1
    if applied:
        print("All migrations have been successfully applied.")
    else:
        print("No pending migrations to apply.")
    return 0


def fail(message):
    print(f"Error: {message}", file=sys.stderr)
    return 1


# --- Tokens and passwords ---------------------------------------------------


def signature(payload):
    secret = os.environ.get("APP_SECRET") or os.environ.get("DATABASE_URL", "")
    return hmac.new(hashlib.sha512(secret.encode()).digest(), payload, "sha256").hexdigest()


def make_token(claims):
    payload = base64.urlsafe_b64encode(json.dumps(claims).encode())
    return payload.decode() + "." + signature(payload)


def read_token(token):
    payload, _, signed = token.partition(".")
    if not hmac.compare_digest(signature(payload.encode()), signed):
        return None
    return json.loads(base64.urlsafe_b64decode(payload))


def password_matches(password, stored):
    try:
        return bcrypt.checkpw(password.encode()[:72], stored.encode())
    except ValueError:
        return False  # what is stored is no hash


# --- HTTP -------------------------------------------------------------------


class Answer(Exception):
    """An answer other than 200, from anywhere in a handler."""

    def __init__(self, status, code, message, **more):
        super().__init__(message)
        self.status = status
        self.body = {"error": {"message": message, "code": code, "status": status, **more}}


def bad_request(message="Bad request"):
    return Answer(400, "bad-request", message)


def unauthorized(**more):
    more = {"code": "unauthorized", **more}
    return Answer(401, more.pop("code"), "Unauthorized", **more)


TRACKER = """(function () {
  // A stand-in's tracker: one page view, and window.umami.track(name, data).
  var script = document.currentScript;
  var send = function (more) {
    var payload = Object.assign({
      website: script.getAttribute('data-website-id'), hostname: location.hostname,
      url: location.href, title: document.title, language: navigator.language,
      screen: screen.width + 'x' + screen.height, referrer: document.referrer
    }, more);
    return fetch(new URL('/api/send', script.src), {
      method: 'POST', headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({ type: 'event', payload: payload })
    });
  };
  window.umami = { track: function (name, data) { return send({ name: name, data: data }); } };
  send({});
})();
"""

WORDS_OF_BOTS = re.compile(
    r"bot|crawl|spider|headless|curl|wget|python|node|axios|ureq|reqwest|minreq|java|go-http|http", re.I
)


def is_bot(agent):
    """No User-Agent is taken for a browser, one that names no browser is not, nor one that names nothing else."""
    names_more = re.match(r"Mozilla/\d\.\d (?!\(compatible\)$)", agent)
    return bool(agent) and (not names_more or bool(WORDS_OF_BOTS.search(agent)))


def camel(row):
    """A row as the interface names it."""
    answer = {}
    for key, value in row.items():
        key = re.sub(r"_(\w)", lambda part: part[1].upper(), key)
        if isinstance(value, datetime.datetime):
            value = value.astimezone(datetime.timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        answer[key] = str(value) if isinstance(value, uuid.UUID) else value
    return answer


UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[1-8][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", re.I)


def checked_uuid(value):
    """Of the versions and the variant of RFC 9562 only."""
    if not isinstance(value, str) or not UUID.fullmatch(value):
        raise bad_request()
    return uuid.UUID(value)


WEBSITE_COLUMNS = """website_id as id, name, domain, reset_at, user_id, team_id, created_by, created_at,
    updated_at, deleted_at, replay_enabled, replay_config, null as share_id"""


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "umami-standin"

    routes = [
        ("GET", r"/(login)?", "page", False),
        ("GET", r"/script\.js", "script", False),
        ("GET", r"/api/heartbeat", "heartbeat", False),
        ("POST", r"/api/auth/login", "login", False),
        ("POST", r"/api/auth/logout", "done", True),
        ("POST", r"/api/auth/verify", "me", True),
        ("GET", r"/api/me", "me", True),
        ("POST", r"/api/me/password", "change_password", True),
        ("POST", r"/api/send", "send", False),
        ("GET", r"/api/websites", "list_websites", True),
        ("POST", r"/api/websites", "create_website", True),
        ("GET", r"/api/websites/([^/]+)", "get_website", True),
        ("POST", r"/api/websites/([^/]+)", "update_website", True),
        ("DELETE", r"/api/websites/([^/]+)", "delete_website", True),
        ("POST", r"/api/websites/([^/]+)/reset", "reset_website", True),
        ("GET", r"/api/websites/([^/]+)/stats", "stats", True),
        ("GET", r"/api/websites/([^/]+)/events", "events", True),
    ]

    # What every request goes through.

    def dispatch(self):
        url = urllib.parse.urlsplit(self.path)
        self.query = dict(urllib.parse.parse_qsl(url.query))
        self.body = self.read_body()
        method = "GET" if self.command == "HEAD" else self.command
        for wanted, pattern, name, needs_login in self.routes:
            found = re.fullmatch(pattern, url.path)
            if not found or wanted != method:
                continue
            arguments = [group for group in found.groups() if group] if "api" in pattern else []
            return self.answer(name, needs_login, arguments)
        if method == "OPTIONS":
            return self.reply(204, b"", "text/plain")
        return self.reply(404, b"Not found", "text/plain")

    do_GET = do_HEAD = do_POST = do_DELETE = do_OPTIONS = dispatch

    def read_body(self):
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        try:
            body = json.loads(raw)
        except ValueError:
            return {}
        return body if isinstance(body, dict) else {}

    def answer(self, name, needs_login, arguments):
        self.database = None
        try:
            if needs_login:
                self.check_login()
            result = getattr(self, name)(*arguments)
            if self.database:
                self.database.commit()
        except Answer as other:
            return self.reply_json(other.status, other.body)
        except Exception as error:
            print(f"{type(error).__name__}: {error}", file=sys.stderr)
            if name == "send":
                return self.reply_json(
                    500, {"error": {"message": "Server error", "code": "server-error", "status": 500}}
                )
            return self.reply(500, b"", "text/plain")
        finally:
            if self.database:
                self.database.close()
        if isinstance(result, tuple):
            return self.reply(200, *result)
        return self.reply_json(200, result)

    def reply_json(self, status, body):
        self.reply(status, json.dumps(body, default=str, separators=(",", ":")).encode(), "application/json")

    def reply(self, status, body, kind):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Access-Control-Allow-Origin", "*")
        self.send_header("Access-Control-Allow-Headers", "*")
        self.send_header("Access-Control-Allow-Methods", "GET, DELETE, POST, PUT")
        # Next.js answers in chunks.
        chunked = kind == "application/json" and self.command != "HEAD"
        if chunked:
            self.send_header("Transfer-Encoding", "chunked")
        elif status != 204:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "HEAD":
            return
        if chunked:
            body = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
        self.wfile.write(body)

    def log_message(self, *arguments):
        pass

    def rows(self, sql, *values):
        if self.database is None:
            self.database = connect()
        with self.database.cursor() as cursor:
            cursor.execute(sql, values)
            return cursor.fetchall() if cursor.description else []

    def check_login(self):
        kind, _, token = self.headers.get("Authorization", "").partition(" ")
        try:
            claims = read_token(token) if kind == "Bearer" else None
        except ValueError:
            claims = None
        if not claims or "userId" not in claims:
            raise unauthorized()
        found = self.rows(
            'select user_id as id, username, role, created_at from "user" where user_id = %s and deleted_at is null',
            claims["userId"],
        )
        if not found:
            raise unauthorized()
        self.user = camel(found[0])
        self.user["isAdmin"] = self.user["role"] == "admin"

    def text(self, name, longest, required=True):
        value = self.body.get(name)
        if value is None and not required:
            return None
        if not isinstance(value, str) or len(value) > longest:
            raise bad_request()
        return value

    # Pages.

    def page(self):
        return b"<!doctype html><title>Umami</title><p>A stand-in for Umami.</p>", "text/html; charset=utf-8"

    def script(self):
        return TRACKER.encode(), "application/javascript; charset=UTF-8"

    def heartbeat(self):
        return {"ok": True}

    def done(self):
        return {"ok": True}

    # Login.

    def login(self):
        username, password = self.text("username", 1000), self.text("password", 1000)
        found = self.rows('select * from "user" where username = %s and deleted_at is null', username)
        if not found or not password_matches(password, found[0]["password"]):
            raise unauthorized(code="incorrect-username-password")
        user = camel(found[0])
        return {
            "token": make_token({"userId": user["userId"], "role": user["role"], "iat": int(time.time())}),
            "user": {
                "id": user["userId"],
                "username": username,
                "role": user["role"],
                "createdAt": user["createdAt"],
                "isAdmin": user["role"] == "admin",
                "teams": [],
            },
        }

    def me(self):
        return {"user": self.user}

    def change_password(self):
        current, new = self.text("currentPassword", 1000), self.text("newPassword", 1000)
        if len(new) < 8:
            raise bad_request()
        stored = self.rows('select password from "user" where user_id = %s', self.user["id"])[0]["password"]
        if not password_matches(current, stored):
            raise bad_request("Current password is incorrect")
        hashed = bcrypt.hashpw(new.encode()[:72], bcrypt.gensalt(10, b"2b")).decode()
        self.rows('update "user" set password = %s, updated_at = now() where user_id = %s', hashed, self.user["id"])
        return {key: self.user[key] for key in ("id", "username", "role")}

    # Websites.

    def list_websites(self):
        size, page = int(self.query.get("pageSize") or 20), int(self.query.get("page") or 1)
        sql = f"select {WEBSITE_COLUMNS} from website where user_id = %s and deleted_at is null order by name"
        sites = [camel(row) for row in self.rows(sql, self.user["id"])]
        return {
            "data": sites[(page - 1) * size : page * size],
            "count": len(sites),
            "page": page,
            "pageSize": size,
            "orderBy": "name",
        }

    def create_website(self):
        name, domain = self.text("name", 100), self.text("domain", 500)
        key = self.body.get("id")
        key = uuid.uuid4() if key is None else checked_uuid(key)
        sql = f"""insert into website (website_id, name, domain, user_id, created_by, updated_at)
            values (%s, %s, %s, %s, %s, now()) returning {WEBSITE_COLUMNS}"""
        return camel(self.rows(sql, key, name, domain, self.user["id"], self.user["id"])[0])

    def get_website(self, key):
        found = self.rows(f"select {WEBSITE_COLUMNS} from website where website_id = %s::uuid", key)
        return camel(found[0]) if found else None

    def update_website(self, key):
        name, domain = self.text("name", 100, required=False), self.text("domain", 500, required=False)
        sql = f"""update website set name = coalesce(%s, name), domain = coalesce(%s, domain), updated_at = now()
            where website_id = %s::uuid returning {WEBSITE_COLUMNS}"""
        return camel(self.rows(sql, name, domain, key)[0])

    def delete_events(self, key):
        for table in ("event_data", "website_event", "session"):
            self.rows(f"delete from {table} where website_id = %s::uuid", key)

    def delete_website(self, key):
        self.delete_events(key)
        if not self.rows("delete from website where website_id = %s::uuid returning 1", key):
            raise LookupError("no such website")
        return {"ok": True}

    def reset_website(self, key):
        self.delete_events(key)
        if not self.rows("update website set reset_at = now() where website_id = %s::uuid returning 1", key):
            raise LookupError("no such website")
        return {"ok": True}

    # Events.

    def send(self):
        payload = self.body.get("payload")
        if self.body.get("type") not in ("event", "identify", "performance") or not isinstance(payload, dict):
            raise bad_request()
        site = checked_uuid(payload.get("website"))
        if any(
            not isinstance(payload.get(name, ""), str) or len(payload.get(name, "")) > longest
            for name, longest in (("hostname", 100), ("name", 50), ("language", 35), ("screen", 11), ("tag", 50))
        ):
            raise bad_request()
        if not self.rows("select 1 from website where website_id = %s and deleted_at is null", site):
            raise bad_request("Website not found.")
        agent = payload.get("userAgent") or self.headers.get("User-Agent", "")
        if not os.environ.get("DISABLE_BOT_CHECK") and is_bot(agent):
            return {"beep": "boop"}

        address = self.headers.get("X-Forwarded-For") or self.client_address[0]
        month, hour = time.strftime("%Y-%m", time.gmtime()), time.strftime("%Y-%m-%d %H", time.gmtime())
        session = uuid.uuid5(site, f"{address} {agent} {month}")
        visit = uuid.uuid5(session, hour)
        self.rows(
            """insert into session (session_id, website_id, browser, os, device, screen, language)
            values (%s, %s, %s, %s, %s, %s, %s) on conflict do nothing""",
            session, site, *describe(agent), payload.get("screen"), payload.get("language"),
        )  # fmt: skip
        if self.body["type"] == "event":
            self.store_event(payload, site, session, visit)
        token = make_token({"websiteId": str(site), "sessionId": str(session), "visitId": str(visit)})
        return {"cache": token, "sessionId": str(session), "visitId": str(visit)}

    def store_event(self, payload, site, session, visit):
        base = f"https://{payload.get('hostname') or 'localhost'}"
        url = urllib.parse.urlsplit(urllib.parse.urljoin(base, payload["url"]))
        referrer = urllib.parse.urlsplit(urllib.parse.urljoin(base, payload.get("referrer") or ""))
        name, event = payload.get("name"), uuid.uuid4()
        known = payload.get("referrer")
        utm = dict(urllib.parse.parse_qsl(url.query))
        self.rows(
            """insert into website_event (event_id, website_id, session_id, visit_id, url_path, url_query,
            referrer_path, referrer_domain, page_title, event_type, event_name, tag, hostname, utm_source)
            values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)""",
            event, site, session, visit,
            ((url.path or "/") + (f"#{url.fragment}" if url.fragment else ""))[:500], url.query[:500],
            referrer.path[:500] if known else None, referrer.hostname if known else None,
            payload.get("title"), 2 if name else 1, name, payload.get("tag"),
            payload.get("hostname") or url.hostname, utm.get("utm_source"),
        )  # fmt: skip
        for key, value in (payload.get("data") or {}).items():
            number = isinstance(value, (int, float)) and not isinstance(value, bool)
            self.rows(
                """insert into event_data (event_data_id, website_id, website_event_id, data_key,
                string_value, number_value, data_type) values (%s, %s, %s, %s, %s, %s, %s)""",
                uuid.uuid4(), site, event, key, str(value)[:500], value if number else None, 2 if number else 1,
            )  # fmt: skip

    def date_range(self):
        try:
            return [
                datetime.datetime.fromtimestamp(int(self.query[name]) / 1000, datetime.timezone.utc)
                for name in ("startAt", "endAt")
            ]
        except (KeyError, ValueError):
            raise bad_request() from None

    def stats(self, key):
        start, end = self.date_range()
        sql = """select count(*) as pageviews, count(distinct session_id) as visitors,
            count(distinct visit_id) as visits, 0 as bounces, 0 as totaltime from website_event
            where website_id = %s::uuid and created_at between %s and %s and event_type not in (2, 5)"""
        before = start - (end - start)
        return {
            **self.rows(sql, key, start, end)[0],
            "comparison": self.rows(sql, key, before, start)[0],
        }

    def events(self, key):
        start, end = self.date_range()
        size, page = int(self.query.get("pageSize") or 20), int(self.query.get("page") or 1)
        search = self.query.get("search", "")
        sql = """select event_id as id, website_id, session_id, created_at, hostname, url_path, url_query,
            referrer_path, referrer_query, referrer_domain, page_title, event_type, event_name
            from website_event where website_id = %s::uuid and created_at between %s and %s
            and coalesce(event_name, url_path) ilike %s order by created_at desc"""
        found = [camel(row) for row in self.rows(sql, key, start, end, f"%{search}%")]
        return {
            "data": found[(page - 1) * size : page * size],
            "count": len(found),
            "page": page,
            "pageSize": size,
        }


def describe(agent):
    """Browser, system and device that a User-Agent names, roughly."""
    browser = next((name for name in ("Firefox", "Chrome", "Safari") if name in agent), None)
    system = next((name for name in ("Windows", "Mac OS", "Android", "Linux") if name in agent), None)
    return browser and browser.lower(), system, "mobile" if "Mobile" in agent else "desktop"


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


def stop(*_):
    # As process 1 the real one ends with 1; under an init it dies of the signal.
    os._exit(1 if os.getpid() == 1 else 143)


def serve():
    signal.signal(signal.SIGTERM, stop)
    host, port = os.environ.get("HOSTNAME") or "0.0.0.0", int(os.environ.get("PORT") or 3000)
    try:
        socket.getaddrinfo(host, port)
    except socket.gaierror:
        return fail(f"getaddrinfo ENOTFOUND {host}")
    if host in ("::", "[::]"):
        Server.address_family = socket.AF_INET6
    server = Server((host, port), Handler)
    print(f"Umami (stand-in) is ready on http://{host}:{port}")
    server.serve_forever()
    return 0


if __name__ == "__main__":
    sys.exit({"serve": serve, "migrate": migrate}[sys.argv[1]]())
