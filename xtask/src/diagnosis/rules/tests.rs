//! What engines and services really said, recorded 2026-11-22 unless a source is named: Engine 26.1.5,
//! Compose 2.26.1, PostgreSQL 15.18, Redis 7.0, GlitchTip 5.2's and Umami 3.1's words.

use super::super::pattern::render;
use super::*;

/// How a record came about, who said it, what was said, and what must be in the cause and in the remedy.
type Record = (
    &'static str,
    Speaker,
    &'static str,
    &'static str,
    &'static str,
);

const RECORDS: &[Record] = &[
    (
        "a process that wants 200 MB under --memory 12m: State.OOMKilled, exit code 137",
        Engine,
        "OOMKilled: true",
        "umami needs more memory than its limit of 64 MiB",
        "UMAMI_MEMORY",
    ),
    (
        "--memory 4m",
        Engine,
        "Error response from daemon: Minimum memory limit allowed is 6MB",
        "below the 6MB",
        "UMAMI_MEMORY",
    ),
    (
        "postgres with --shm-size 16k",
        Service,
        "2026-11-22 17:38:17.870 UTC [30] FATAL:  could not resize shared memory segment \"/PostgreSQL.2491768648\" to 1048576 bytes: No space left on device\n\
         2026-11-22 17:38:17.870 UTC [30] PANIC:  cannot abort transaction 1, it was already committed\nAborted\nchild process exited with exit code 134",
        "shared memory",
        "shm_size",
    ),
    (
        "initdb on a tmpfs of 30 MB",
        Service,
        "performing post-bootstrap initialization ... 2026-11-22 17:36:42.402 UTC [30] FATAL:  could not write to file \"base/4/1247\": No space left on device\n\
         child process exited with exit code 1\ninitdb: removing contents of data directory \"/var/lib/postgresql/data\"",
        "is full",
        "docker image prune",
    ),
    (
        "redis with /data on a tmpfs of 64 KB: it stays up and refuses writes",
        Service,
        "1:M 22 Nov 2026 17:36:43.961 # Short write while writing to the AOF file: (nwritten=57344, expected=70053)",
        "is full",
        "docker image prune",
    ),
    (
        "a process listens on the port",
        Engine,
        "driver failed programming external connectivity on endpoint d5-port (3c47e5d951ce329b586a9cb22203a91ee70df25f5448af5e84666d6a41ffabb7): \
         Error starting userland proxy: listen tcp4 127.0.0.1:35001: bind: address already in use",
        "port 35001 of this machine was taken in the meantime by nginx (pid 7)",
        "UMAMI_PORT",
    ),
    (
        "a container publishes the port",
        Engine,
        "driver failed programming external connectivity on endpoint d5-p2 (1efa52c6c6ae562eb881deb4b61632ac9a4f839348adf781bfafc20c702a00b4): \
         Bind for 127.0.0.1:35002 failed: port is already allocated",
        "port 35002",
        "UMAMI_PORT",
    ),
    (
        "Docker Desktop; quoted from docker/for-mac's threads, not run here",
        Engine,
        "Error response from daemon: Ports are not available: exposing port TCP 0.0.0.0:3001 -> 0.0.0.0:0: listen tcp 0.0.0.0:3001: bind: address already in use",
        "port 3001",
        "UMAMI_PORT",
    ),
    (
        "-p 198.51.100.7:3001:80",
        Engine,
        "driver failed programming external connectivity on endpoint d5 (00): Error starting userland proxy: listen tcp4 198.51.100.7:3001: bind: cannot assign requested address",
        "not an address of this machine",
        "BIND_ADDRESS",
    ),
    (
        "a registry of our own with a manifest list for s390x alone",
        Engine,
        " umami Pulling \nno matching manifest for linux/amd64 in the manifest list entries",
        "another processor architecture",
        "cargo xtask doctor",
    ),
    (
        "an arm64 program on amd64",
        Service,
        "exec /bin/app: exec format error",
        "another processor architecture",
        "UMAMI_IMAGE",
    ),
    (
        "a registry of our own that answers 429 with Docker Hub's message",
        Engine,
        " umami Error toomanyrequests: You have reached your unauthenticated pull rate limit. https://www.docker.com/increase-rate-limit\n\
         Error response from daemon: toomanyrequests: You have reached your unauthenticated pull rate limit. https://www.docker.com/increase-rate-limit",
        "rate limit",
        "docker login",
    ),
    (
        "a registry of our own whose certificate ended in 2020",
        Engine,
        "Error response from daemon: Get \"https://192.0.2.2:35052/v2/\": tls: failed to verify certificate: x509: certificate has expired or is not yet valid: \
         current time 2026-11-22T17:39:53Z is after 2020-02-01T00:00:00Z",
        "at the engine's time, 2026-11-22T17:39:53Z",
        "date --utc",
    ),
    (
        "a registry of our own with a certificate nobody signed",
        Engine,
        "Error response from daemon: Get \"https://192.0.2.2:35051/v2/\": tls: failed to verify certificate: x509: certificate signed by unknown authority",
        "does not trust the certificate",
        "restart the engine",
    ),
    (
        "no name service",
        Engine,
        " umami Pulling \n umami Error Get \"https://registry.example/v2/\": dial tcp: lookup registry.example on 192.0.2.53:53: no such host\n\
         Error response from daemon: Get \"https://registry.example/v2/\": dial tcp: lookup registry.example on 192.0.2.53:53: no such host",
        "does not reach the registry registry.example",
        "cargo xtask up",
    ),
    (
        "nothing listens",
        Engine,
        "Error response from daemon: Get \"http://127.0.0.1:9/v2/\": dial tcp 127.0.0.1:9: connect: connection refused",
        "does not reach the registry 127.0.0.1:9",
        "docker load",
    ),
    (
        "a line to a registry of our own that is cut while a layer comes",
        Engine,
        " umami Error dial tcp 127.0.0.1:24501: connect: connection refused\n\
         Error response from daemon: dial tcp 127.0.0.1:24501: connect: connection refused",
        "does not reach the registry 127.0.0.1:24501",
        "docker load",
    ),
    (
        "a registry of our own that wants a login, and no credentials",
        Engine,
        " umami Error Head \"http://127.0.0.1:38377/v2/umami/manifests/3\": no basic auth credentials",
        "no image example/umami:3 for you",
        "docker logout",
    ),
    (
        "moby/moby issue 50035 (Engine 28.1.1), not run here",
        Engine,
        "Error response from daemon: Get \"https://registry.example/v2/\": net/http: TLS handshake timeout",
        "does not reach the registry registry.example",
        "docker load",
    ),
    (
        "a registry of our own that knows no image",
        Engine,
        " umami Pulling \n umami Error manifest unknown\nError response from daemon: manifest unknown",
        "no image example/umami:3",
        "UMAMI_IMAGE",
    ),
    (
        "a registry of our own that answers 401",
        Engine,
        " umami Error unauthorized\nError response from daemon: unauthorized",
        "no image example/umami:3",
        "docker logout",
    ),
    (
        "ghcr.io with old credentials: open-telemetry/opentelemetry-demo issue 1582, not run here",
        Engine,
        "Error response from daemon: Head \"https://ghcr.io/v2/open-feature/flagd/manifests/v0.10.1\": denied: denied",
        "no image example/umami:3",
        "docker logout",
    ),
    (
        "a network with the bridge's own range",
        Engine,
        "failed to create network d5dup_n: Error response from daemon: Pool overlaps with other one on this address space",
        "no free range",
        "docker network prune",
    ),
    (
        "a network of that name made by hand",
        Engine,
        "network d5-named-net was found but has incorrect label com.docker.compose.network set to \"\"",
        "the name d5-named-net",
        "cargo xtask doctor",
    ),
    (
        "a container of that name made by hand",
        Engine,
        "Error response from daemon: Conflict. The container name \"/umami\" is already in use by container \"0123\". You have to remove (or rename) that container to be able to reuse that name.",
        "the name umami",
        "cargo xtask doctor",
    ),
    (
        "no engine",
        Engine,
        "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?",
        "stopped answering",
        "cargo xtask doctor --fix",
    ),
    (
        "PG_VERSION changed to 14 in a volume of 15",
        Service,
        "2026-11-22 17:39:50.214 UTC [1] FATAL:  database files are incompatible with server\n\
         2026-11-22 17:39:50.214 UTC [1] DETAIL:  The data directory was initialized by PostgreSQL version 14, which is not compatible with this version 15.18 (Debian 15.18-0+deb12u1).",
        "made by PostgreSQL 14",
        "UMAMI_IMAGE",
    ),
    (
        "postgres:18 over a volume of 17: rails/rails pull request 56150, not run here",
        Service,
        "       Counter to that, there appears to be PostgreSQL data in:\n         /var/lib/postgresql/data (unused mount/volume)",
        "another major version",
        "UMAMI_IMAGE",
    ),
    (
        "a volume with a file and without PG_VERSION",
        Service,
        "initdb: error: directory \"/var/lib/postgresql/data\" exists but is not empty",
        "cut off",
        "cargo xtask backup --list",
    ),
    (
        "a volume with PG_VERSION alone",
        Service,
        "postgres: could not access the server configuration file \"/var/lib/postgresql/data/postgresql.conf\": No such file or directory",
        "cut off",
        "cargo xtask backup --list",
    ),
    (
        "GlitchTip (psycopg2) with another password",
        Service,
        "django.db.utils.OperationalError: connection to server at \"postgres\" (172.29.0.2), port 5432 failed: FATAL:  password authentication failed for user \"glitchtip\"\n",
        "the role glitchtip",
        "cargo xtask restart",
    ),
    (
        "Umami (Prisma) with another password",
        Service,
        "Error: P1000: Authentication failed against database server, the provided database credentials for `umami` are not valid.",
        "the role umami",
        "cargo xtask restart",
    ),
    (
        "PostgreSQL's side of it, where the application only says that it got no connection",
        Database,
        "2026-11-22 17:41:27.532 UTC [140] FATAL:  password authentication failed for user \"umami\"\n\
         2026-11-22 17:41:27.532 UTC [140] DETAIL:  Connection matched pg_hba.conf line 100: \"host all all all scram-sha-256\"",
        "the role umami",
        "cargo xtask restart",
    ),
    (
        "postgres-init with a POSTGRES_USER that the volume does not know",
        Service,
        "psql: error: connection to server on socket \"/var/run/postgresql/.s.PGSQL.5432\" failed: FATAL:  role \"root\" does not exist",
        "the role root",
        "POSTGRES_USER",
    ),
    (
        "Umami with a database that is not there",
        Service,
        "Error: P1003: Database `nodb` does not exist on the database server at `postgres:5432`.",
        "no database nodb",
        "cargo xtask restart",
    ),
    (
        "PostgreSQL's side of it",
        Database,
        "2026-11-22 17:41:33.220 UTC [141] FATAL:  database \"nodb\" does not exist",
        "no database nodb",
        "cargo xtask restart",
    ),
    (
        "Umami's migrations in a database of the superuser's",
        Service,
        "Error: P1001\n\npermission denied for schema public\n\nDatasource \"db\": PostgreSQL database \"umami_db\", schema \"public\" at \"postgres:5432\"",
        "does not belong to the role of umami",
        "cargo xtask restart",
    ),
    (
        "a migration of Umami's (Prisma) that fails",
        Service,
        "Error: P3018\n\nA migration failed to apply. New migrations cannot be applied before the error is recovered from.\n\nMigration name: 20_broken\n\nDatabase error code: 42P01\n\n\
         Database error:\nERROR:  relation \"table_that_is_missing\" does not exist\n",
        "the migration 20_broken of example/umami:3 failed: relation \"table_that_is_missing\" does not exist",
        "UMAMI_IMAGE",
    ),
    (
        "the same, started again",
        Service,
        "Error: P3009\n\nmigrate found failed migrations in the target database, new migrations will not be applied.\nThe `20_broken` migration failed",
        "the migration 20_broken failed or was cut off in an earlier run",
        "migrate resolve --rolled-back 20_broken`, then `cargo xtask up`",
    ),
    (
        "the first migration, whose process was killed while PostgreSQL carried it out, again",
        Service,
        "Error: P3018\n\nA migration failed to apply. New migrations cannot be applied before the error is recovered from.\n\nMigration name: 01_init\n\nDatabase error code: 42P07\n\n\
         Database error:\nERROR: relation \"user\" already exists\n",
        "01_init of example/umami:3 finds that relation \"user\" already exists",
        "migrate resolve --applied 01_init`, then `cargo xtask up`",
    ),
    (
        "a migration of Umami's without the database's words, not run here",
        Service,
        "Error: P3018\n\nA migration failed to apply. New migrations cannot be applied before the error is recovered from.\n\nMigration name: 20_broken\n",
        "the migration 20_broken of example/umami:3 failed; it was not applied",
        "UMAMI_IMAGE",
    ),
    (
        "a migration of GlitchTip's (Django) that fails",
        Service,
        "  Applying event_ingest.0001_events... OK\n  Applying event_ingest.0002_broken...Traceback (most recent call last):\n\
         psycopg2.errors.UndefinedTable: relation \"table_that_is_missing\" does not exist",
        "the migration event_ingest.0002_broken",
        "UMAMI_IMAGE",
    ),
    (
        "GlitchTip off the stack's network",
        Service,
        "django.db.utils.OperationalError: could not translate host name \"postgres\" to address: Name or service not known",
        "no address for the name postgres",
        "cargo xtask restart",
    ),
    (
        "HOSTNAME=analytics.local",
        Service,
        "Error: getaddrinfo ENOTFOUND analytics.local\n    at GetAddrInfoReqWrap.onlookupall [as oncomplete] (node:dns:121:26)",
        "no address for the name analytics.local",
        "cargo xtask restart",
    ),
    (
        "POSTGRES_PASSWORD of another role than POSTGRES_USER, on a server of somebody else's",
        Service,
        "psql: error: connection to server at \"directus-db\" (172.19.0.2), port 5432 failed: FATAL:  password authentication failed for user \"provider\"",
        "the PostgreSQL at directus-db refuses the password of the role provider",
        "POSTGRES_PASSWORD",
    ),
    (
        "a server with hostssl alone in pg_hba.conf, and POSTGRES_SSLMODE=disable",
        Service,
        "psql: error: connection to server at \"directus-db\" (172.19.0.2), port 5432 failed: FATAL:  no pg_hba.conf entry for host \"172.19.0.3\", user \"provider\", database \"postgres\", no encryption",
        "takes the role provider with TLS alone",
        "POSTGRES_SSLMODE=require",
    ),
    (
        "a server with ssl=off, and POSTGRES_SSLMODE=require",
        Service,
        "psql: error: connection to server at \"directus-db\" (172.19.0.2), port 5432 failed: server does not support SSL, but SSL was required",
        "has no TLS",
        "POSTGRES_SSLMODE=disable",
    ),
    (
        "POSTGRES_HOST without DIRECTUS_NETWORK",
        Service,
        "psql: error: could not translate host name \"directus-db\" to address: Name or service not known",
        "has the name directus-db, which POSTGRES_HOST names",
        "DIRECTUS_NETWORK",
    ),
    (
        "a server that is stopped",
        Service,
        "psql: error: connection to server at \"directus-db\" (172.19.0.2), port 5432 failed: Connection refused\n\tIs the server running on that host and accepting TCP/IP connections?",
        "does not reach the PostgreSQL at directus-db",
        "POSTGRES_HOST",
    ),
    (
        "a server that has a role umami already",
        Service,
        "psql:/init-db-elsewhere.sql:56: ERROR:  the role \"umami\" is there and is not of this stack\nHINT:  if nobody else uses it: COMMENT ON ROLE umami IS 'a role of the analytics stack'",
        "has a role umami that this stack did not make",
        "the log of",
    ),
    (
        "a server that has a database umami_db of Directus'",
        Service,
        "psql:/init-db-elsewhere.sql:56: ERROR:  the database \"umami_db\" is there and belongs to \"directus\"\nHINT:  set UMAMI_DATABASE to a name that is free",
        "a database umami_db of somebody else's",
        "UMAMI_DATABASE",
    ),
    (
        "a role that may not create databases",
        Service,
        "psql:/init-db-elsewhere.sql:56: ERROR:  the role \"provider\" may not create databases\nHINT:  ALTER ROLE provider CREATEDB",
        "the role provider, which POSTGRES_USER names, may not create databases",
        "ALTER ROLE provider CREATEROLE CREATEDB",
    ),
    (
        "a server whose connections are all taken",
        Service,
        "psycopg.OperationalError: connection failed: connection to server at \"172.19.0.2\", port 5432 failed: FATAL:  sorry, too many clients already",
        "no connection left",
        "max_connections",
    ),
    (
        "an engine without firewall rules on a machine that drops what it does not know",
        Service,
        "Error: P1001: Can't reach database server at `postgres:5432`",
        "does not reach the database at postgres:5432",
        "sudo systemctl restart docker",
    ),
    (
        "postgres with its volume mounted :ro",
        Service,
        "fixing permissions on existing directory /var/lib/postgresql/data ... initdb: error: could not change permissions of directory \"/var/lib/postgresql/data\": Read-only file system",
        "read-only",
        ":ro",
    ),
    (
        "redis with a volume of another user's",
        Service,
        "1:M 22 Nov 2026 17:37:54.110 # Can't open or create append-only dir appendonlydir: Permission denied",
        "belongs to somebody else",
        "chmod a+r",
    ),
    (
        "a checkout made with umask 077",
        Service,
        "/init-db.sql: Permission denied",
        "belongs to somebody else",
        "chmod a+r",
    ),
    (
        "a credsStore that is not installed",
        Engine,
        " a Pulling \nerror getting credentials - err: exec: \"docker-credential-nosuch\": executable file not found in $PATH, out: ``",
        "credential helper",
        "credsStore",
    ),
    (
        "moby/moby issue 26494, not run here",
        Engine,
        "driver failed programming external connectivity on endpoint bind (14e1a51512de): iptables failed: iptables --wait -t nat -A DOCKER -p tcp -d 0/0 --dport 3001 -j DNAT --to-destination 172.17.0.2:3001 ! -i docker0: iptables: No chain/target/match by that name.\n (exit status 1)",
        "firewall rules",
        "sudo systemctl restart docker",
    ),
    (
        "moby/moby issue 27426, not run here",
        Engine,
        "Error response from daemon: failed to create endpoint umami on network bridge: failed to add the host (veth1d85371) <=> sandbox (vethbc264f6) pair interfaces: operation not supported.",
        "kernel has no module",
        "sudo reboot",
    ),
    (
        "moby/moby issue 51405, not run here",
        Engine,
        "Error response from daemon: failed to create task for container: failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process: error during container init: open sysctl net.ipv4.ip_unprivileged_port_start file: reopen fd 8: permission denied: unknown",
        "LXC",
        "upgrade LXC",
    ),
    (
        "moby/moby issue 36952, not run here",
        Engine,
        "Error response from daemon: AppArmor enabled on system but the docker-default profile could not be loaded: running `/sbin/apparmor_parser apparmor_parser -Kr /var/lib/docker/tmp/docker-default771187589` failed with output",
        "AppArmor",
        "restart apparmor docker",
    ),
    (
        "docker/for-linux issue 1199, not run here",
        Engine,
        "OCI runtime create failed: runc create failed: unable to start container process: apparmor failed to apply profile: write /proc/self/attr/exec: invalid argument: unknown",
        "AppArmor",
        "restart apparmor docker",
    ),
    (
        "opencontainers/runc issue 1631, not run here",
        Engine,
        "starting container process caused \"process_linux.go:279: applying cgroup configuration for process caused \\\"mountpoint for devices not found\\\"\"",
        "control groups",
        "docker info",
    ),
    (
        "docker/desktop-linux issue 177, not run here",
        Engine,
        "Error response from daemon: Mounts denied: \nThe path /data/analytics/deploy/analytics/init-db.sql is not shared from the host and is not known to Docker.\nYou can configure shared paths from Docker -> Preferences... -> Resources -> File Sharing.",
        "may not share",
        "File sharing",
    ),
    (
        "a folder in the place of a mounted file",
        Engine,
        "OCI runtime create failed: runc create failed: unable to start container process: error during container init: error mounting \"/srv/init-db.sql\" to rootfs at \"/init-db.sql\": not a directory: unknown: Are you trying to mount a directory onto a file (or vice-versa)? Check if the specified host path exists and is the expected type",
        "does not see the checkout",
        "cargo xtask doctor",
    ),
    (
        "psql --file on a folder",
        Service,
        "psql: error: /init-db.sql: read error: Is a directory",
        "is a folder in umami",
        "cargo xtask doctor",
    ),
    (
        "a checkout in /tmp/h:2",
        Engine,
        "Error response from daemon: invalid volume specification: '/srv/h:2/init-db.sql:/init-db.sql:ro'",
        "has a colon",
        "without a colon",
    ),
    (
        "rootlesskit's words, not run here",
        Engine,
        "Error starting userland proxy: error while calling PortManager.AddPort(): cannot expose privileged port 80, you can add 'net.ipv4.ip_unprivileged_port_start=80' to /etc/sysctl.conf (currently 1024)",
        "below 1024",
        "UMAMI_PORT",
    ),
    (
        "a command that the image does not have",
        Engine,
        "failed to create task for container: failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process: exec: \"nosuch\": executable file not found in $PATH: unknown",
        "cannot start the program nosuch: example/umami:3",
        "UMAMI_IMAGE",
    ),
    (
        "a health check that cannot run",
        Service,
        "OCI runtime exec failed: exec failed: unable to start container process: exec: \"nosuch\": executable file not found in $PATH: unknown",
        "cannot start the program nosuch",
        "healthcheck",
    ),
    (
        "a shell's word for exit code 127, Alpine",
        Service,
        "sh: nosuch-program: not found",
        "cannot start the program nosuch-program",
        "command",
    ),
    (
        "a shell's word for exit code 127, Debian",
        Service,
        "sh: 1: nosuch-program: not found",
        "cannot start the program nosuch-program",
        "command",
    ),
    (
        "a script whose interpreter is missing",
        Service,
        "exec /app: no such file or directory",
        "cannot start the program /app",
        "command",
    ),
    (
        "exit code 126",
        Engine,
        "failed to create task for container: failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process: exec: \"/etc/passwd\": permission denied: unknown",
        "may not run /etc/passwd",
        "executable",
    ),
    (
        "a proxy whose name does not resolve; net/http of Go 1.24, not run here",
        Engine,
        "Error response from daemon: Get \"https://registry-1.docker.io/v2/\": proxyconnect tcp: dial tcp: lookup proxy.example on 192.0.2.53:53: no such host",
        "proxy does not let it through",
        "docker info",
    ),
    (
        "a proxy that wants a login; net/http of Go 1.24, not run here",
        Engine,
        "Error response from daemon: Get \"https://registry-1.docker.io/v2/\": Proxy Authentication Required",
        "proxy does not let it through",
        "docker info",
    ),
    (
        "a registry without TLS; net/http of Go 1.24, not run here",
        Engine,
        "Error response from daemon: Get \"https://192.0.2.2:5000/v2/\": http: server gave HTTP response to HTTPS client",
        "without TLS",
        "insecure-registries",
    ),
    (
        "`user: nobodyx` in an override",
        Engine,
        "unable to find user nobodyx: no matching entries in passwd file",
        "umami is to run as nobodyx",
        "correct `user` of umami",
    ),
    (
        "`working_dir: /etc/hostname` in an override",
        Engine,
        "Error response from daemon: Cannot mkdir: /etc/hostname is not a directory",
        "work in the folder /etc/hostname",
        "correct `working_dir`",
    ),
    (
        "a server of our own without TLS, at an address",
        Engine,
        "Error response from daemon: Get \"https://192.0.2.2:4600/v2/\": tls: first record does not look like a TLS handshake",
        "without TLS",
        "insecure-registries",
    ),
    (
        "a server of our own that answers 404 with a page",
        Engine,
        " redis Error unknown: <html>busy</html>\nError response from daemon: unknown: <html>busy</html>",
        "what answers for the registry is none",
        "UMAMI_IMAGE",
    ),
    (
        "a server of our own that answers 200 with a page, as the login page of a network does",
        Engine,
        "Error response from daemon: error unmarshalling content: invalid character '<' looking for beginning of value",
        "what answers for the registry is none",
        "log in to the network",
    ),
    (
        "openops-cloud/openops issue 278, not run here",
        Engine,
        "failed to register layer: failed to Lchown \"/usr/src/app/x\" for UID 718322462, GID 454177323 (try increasing the number of subordinate IDs in /etc/subuid and /etc/subgid): lchown /usr/src/app/x: invalid argument",
        "too few user ids",
        "/etc/subuid",
    ),
    (
        "a registry of our own that answers 503",
        Engine,
        "Error response from daemon: received unexpected HTTP status: 503 Service Unavailable",
        "fault of its own for now (503 Service Unavailable)",
        "wait some minutes",
    ),
    (
        "a registry of our own that closes the connection",
        Engine,
        "Error response from daemon: Get \"http://127.0.0.1:39901/v2/\": EOF",
        "does not reach the registry 127.0.0.1:39901",
        "docker load",
    ),
    (
        "a registry of our own that resets the connection",
        Engine,
        "Error response from daemon: Get \"http://127.0.0.1:39902/v2/\": read tcp 127.0.0.1:40286->127.0.0.1:39902: read: connection reset by peer",
        "does not reach the registry 127.0.0.1:39902",
        "docker load",
    ),
    (
        "TonyTromp/tidal-connect-docker issue 39: a content network's timeout, not run here",
        Engine,
        "error pulling image configuration: Get \"https://production.cloudflare.docker.com/registry-v2/docker/registry/v2/blobs/sha256/e9/data?verify=1694747794\": dial tcp: i/o timeout",
        "does not reach the registry production.cloudflare.docker.com",
        "docker load",
    ),
    (
        "docker/hub-feedback issue 2376: Docker Desktop's own words, not run here",
        Engine,
        "error pulling image configuration: download failed after attempts=6: dialing production.cloudflare.docker.com:443 with direct connection: resolving host production.cloudflare.docker.com: lookup production.cloudflare.docker.com: no such host",
        "does not reach the registry production.cloudflare.docker.com",
        "docker load",
    ),
    (
        "a registry of our own that answers 403",
        Engine,
        "Error response from daemon: pull access denied for 127.0.0.1:39904/x/y, repository does not exist or may require 'docker login': denied: <html>no</html>",
        "no image example/umami:3",
        "docker logout",
    ),
    (
        "docker 29 without an engine; vendored moby/client/request.go",
        Engine,
        "failed to connect to the docker API at unix:///var/run/docker.sock; check if the path is correct and if the daemon is running: dial unix /var/run/docker.sock: connect: no such file or directory",
        "stopped answering",
        "cargo xtask doctor --fix",
    ),
    (
        "create extension in a database of another's",
        Service,
        "ERROR:  permission denied to create extension \"pgcrypto\"\nHINT:  Must have CREATE privilege on current database to create this extension.",
        "may not create the extension pgcrypto",
        "cargo xtask restart",
    ),
    (
        "prisma migrate deploy while another holds the lock",
        Service,
        "Error: P1002\n\nThe database server was reached but timed out.\n\nContext: Timed out trying to acquire a postgres advisory lock (SELECT pg_advisory_lock(72707369)). Elapsed: 10000ms.",
        "another migration holds the lock",
        "cargo xtask restart",
    ),
    (
        "prisma migrate deploy over a failed migration",
        Service,
        "Error: P3009\n\nmigrate found failed migrations in the target database, new migrations will not be applied.\nThe `20_broken` migration started at 2026-11-25 09:12:44.100341 UTC failed",
        "the migration 20_broken failed or was cut off in an earlier run",
        "migrate resolve --rolled-back 20_broken`, then `cargo xtask up`",
    ),
    (
        "runc from 1.2 on; cri-o/cri-o issue 9136, not run here",
        Engine,
        "failed to create task for container: failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process: error during container init: exec: \"nosuch\": executable file not found in $PATH: unknown",
        "cannot start the program nosuch",
        "UMAMI_IMAGE",
    ),
    (
        "a command that the image does not have, under the engine's init",
        Service,
        "[FATAL tini (7)] exec nosuch failed: No such file or directory",
        "cannot start the program nosuch: example/umami:3",
        "UMAMI_IMAGE",
    ),
    (
        "a folder as the command, under the engine's init",
        Service,
        "[FATAL tini (7)] exec /tmp failed: Permission denied",
        "may not run /tmp",
        "executable",
    ),
    (
        "`exec nosuch` in a shell, Debian",
        Service,
        "sh: 1: exec: nosuch: not found",
        "cannot start the program nosuch",
        "command",
    ),
    (
        "a script with CRLF, coreutils",
        Service,
        "/usr/bin/env: 'python3\\r': No such file or directory",
        "cannot start the program python3\\r",
        "command",
    ),
    (
        "node with a file that is not there, not run here",
        Service,
        "Error: Cannot find module '/app/nosuch.js'",
        "cannot start the program /app/nosuch.js",
        "command",
    ),
    (
        "python3 with a file that is not there",
        Service,
        "python3: can't open file '/app/nosuch.py': [Errno 2] No such file or directory",
        "cannot start the program /app/nosuch.py",
        "command",
    ),
    (
        "Azure-Samples/azure-python-labs issue 81, with another extension; not run here",
        Service,
        "psycopg2.errors.FeatureNotSupported: extension \"hstore\" is not allow-listed for \"azure_pg_admin\" users in Azure Database for PostgreSQL",
        "does not have the extension hstore",
        "ask its administrator",
    ),
    (
        "a PostgreSQL without its contrib modules",
        Service,
        "ERROR:  extension \"pgcrypto\" is not available\nDETAIL:  Could not open extension control file \"/usr/share/postgresql/15/extension/pgcrypto.control\": No such file or directory.",
        "does not have the extension pgcrypto",
        "POSTGRES_IMAGE",
    ),
    (
        "umami-software/umami issue 2005, not run here",
        Service,
        "Error: P3005\nThe database schema is not empty. Read more about how to baseline an existing production database: https://pris.ly/d/migrate-baseline",
        "tables that its migrations did not make",
        "UMAMI_DATABASE",
    ),
    (
        "Django 5 on a database of a newer version, not run here",
        Service,
        "django.db.migrations.exceptions.InconsistentMigrationHistory: Migration users.0002_more is applied before its dependency users.0001_initial on database 'default'.",
        "the migration users.0002_more",
        "cargo xtask backup --list",
    ),
    (
        "a WAL segment of zeros",
        Service,
        "2026-11-30 19:02:11.518 UTC [30] LOG:  invalid primary checkpoint record\n2026-11-30 19:02:11.518 UTC [30] PANIC:  could not locate a valid checkpoint record",
        "the data of umami is damaged",
        "cargo xtask backup --list",
    ),
    (
        "netbox-community/netbox-docker issue 1121, not run here",
        Service,
        "1:M 30 Nov 2026 19:03:40.112 # Bad file format reading the append only file appendonly.aof.2.incr.aof: make a backup of your AOF file, then use ./redis-check-aof --fix <filename.manifest>",
        "the data of umami is damaged",
        "cargo xtask clean",
    ),
    (
        "redis-server on data of a newer version",
        Service,
        "1:M 30 Nov 2026 19:04:02.771 # Can't handle RDB format version 9999",
        "by a newer Redis than example/umami:3",
        "UMAMI_IMAGE",
    ),
];

fn facts(speaker: Speaker, said: &str) -> Facts {
    let mut facts = Facts {
        service: "umami".to_owned(),
        ..Facts::default()
    };
    *match speaker {
        Engine => &mut facts.engine,
        Service => &mut facts.log,
        Database => &mut facts.database_log,
    } = said.to_owned();
    let names = [
        ("limit", "64 MiB"),
        ("limit_variable", "UMAMI_MEMORY"),
        ("port_variable", "UMAMI_PORT"),
        ("holder", "nginx (pid 7)"),
        ("image", "example/umami:3"),
        ("image_variable", "UMAMI_IMAGE"),
    ];
    facts.names = names.map(|(name, value)| (name, value.to_owned())).to_vec();
    facts
}

#[test]
fn explains_what_was_recorded() {
    for (how, speaker, said, cause, remedy) in RECORDS {
        let problem =
            explain(&facts(*speaker, said)).unwrap_or_else(|| panic!("nothing explains: {how}"));
        let hint = problem.hint.as_deref().unwrap();
        assert!(problem.what.contains(cause), "{how}: {problem}");
        assert!(hint.contains(remedy), "{how}: {hint}");
        let evidence = problem.evidence.as_deref().unwrap();
        assert!(said.contains(evidence), "{how}: {evidence}");
        let has_gap = problem.what.contains('{') || hint.contains('{');
        assert!(!has_gap, "{how}: {problem:?}");
    }
}

#[test]
fn has_a_record_for_every_rule() {
    for rule in RULES.iter() {
        let explained = |(_, speaker, said, ..): &Record| {
            let first = RULES.iter().find(|rule| {
                let mut own = rule.seen.iter().filter(|(who, _)| who == speaker);
                own.any(|(_, pattern)| rule.find(pattern, said).is_some())
            });
            first.is_some_and(|first| std::ptr::eq(first, rule))
        };
        assert!(
            RECORDS.iter().any(explained),
            "no record of: {}",
            rule.cause
        );
    }
}

#[test]
fn explains_nothing_that_is_no_failure() {
    let healthy = "\
        2026-11-22 17:39:09.004 UTC [1] LOG:  starting PostgreSQL 15.18 (Debian 15.18-0+deb12u1) on x86_64-pc-linux-gnu, compiled by gcc (Debian 12.2.0-14+deb12u1) 12.2.0, 64-bit\n\
        2026-11-22 17:39:09.020 UTC [1] LOG:  database system is ready to accept connections\n\
        1:M 22 Nov 2026 17:36:42.873 # WARNING Memory overcommit must be enabled! Without it, a background save or replication may fail under low memory condition.\n\
        1:M 22 Nov 2026 17:36:42.874 * Ready to accept connections\n  Applying event_ingest.0001_events... OK\n\
        PostgreSQL Database directory appears to contain a database; Skipping initialization\n";
    for speaker in [Engine, Service, Database] {
        assert_eq!(explain(&facts(speaker, healthy)), None);
    }
}

#[test]
fn does_not_take_another_application_s_refusal_for_its_own() {
    let log = "2026-11-22 17:41:43.115 UTC [144] FATAL:  password authentication failed for user \"glitchtip\"";
    assert_eq!(explain(&facts(Database, log)), None);
}

#[test]
fn says_in_words_what_is_not_known() {
    let nothing_known = Facts {
        engine: "Bind for 0.0.0.0:3001 failed: port is already allocated".to_owned(),
        ..Facts::default()
    };
    let problem = explain(&nothing_known).unwrap();
    assert_eq!(
        problem.what,
        "port 3001 of this machine was taken in the meantime by something else"
    );
    let hint =
        "stop that, or set its `ports` in the override to a free port, then `cargo xtask up`";
    assert_eq!(problem.hint.unwrap(), hint);
}

/// The rules as the README's table.
fn render_table() -> String {
    let in_capitals =
        |text: &str| fill(text, |name| Some(name.to_uppercase().into())).replace('|', "\\|");
    let row = |rule: &Written| {
        let first = rule.seen[0].values().chain(&rule.with);
        let seen: Vec<String> = first
            .map(|it| format!("`{}`", render(it).replace('|', "\\|").trim()))
            .collect();
        format!(
            "| {} | {} | {} |\n",
            seen.join(" with "),
            in_capitals(&rule.cause),
            in_capitals(&rule.remedy)
        )
    };
    let rules: Vec<Written> = serde_yaml::from_str(include_str!("../failures.yml")).unwrap();
    let rows: String = rules.iter().map(row).collect();
    format!("| Seen | Cause | Remedy |\n|---|---|---|\n{rows}")
}

/// The README's table is these rules; `README_TABLE=write cargo test` writes it anew.
#[test]
fn is_the_table_in_the_readme() {
    const BEGIN: &str = "<!-- failures: made from xtask/src/diagnosis/failures.yml -->\n";
    const END: &str = "<!-- /failures -->";
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/analytics/README.md");
    let readme = std::fs::read_to_string(path).unwrap();
    let (before, rest) = readme
        .split_once(BEGIN)
        .expect("README.md has no table of failures");
    let (table, after) = rest.split_once(END).unwrap();
    if std::env::var_os("README_TABLE").is_some() {
        return std::fs::write(
            path,
            format!("{before}{BEGIN}{}{END}{after}", render_table()),
        )
        .unwrap();
    }
    assert_eq!(
        table,
        render_table(),
        "run `README_TABLE=write cargo test --package xtask is_the_table`"
    );
}
