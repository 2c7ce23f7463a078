"""A stand-in for GlitchTip, for tests on machines that can pull no image.

It keeps the part of GlitchTip's contract that the stack and the xtask rely on,
as measured on 5.2 and read in 6.2.6 in 2026-11: commands and scripts, variables,
models under their module paths, and the HTTP interface with its quirks:

- the readiness answer asks the database, the liveness answer asks nobody;
- PORT moves the server, an empty one to a port by chance;
- a variable that begins with `$` stands for another variable;
- sign-up is open while there is no user, whatever the settings say;
- an address under a reserved domain can log in, but its pages answer 500;
- events are accepted into a queue in Redis, and only the worker makes them
  visible; without a partition for the day they are accepted and lost;
- without connection health checks the event that meets a connection from before
  PostgreSQL's restart is lost.

Queue and scheduler are the real ones, so they fail as those do; `version.py` and
the scripts are those of one version, and it has no others. It is no error tracker:
no user interface, no alerts, no uptime, and the web server is Django's own.
"""
