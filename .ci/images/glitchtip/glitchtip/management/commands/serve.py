import os
import signal

from django.core.management.base import BaseCommand
from django.core.servers.basehttp import run
from django.core.wsgi import get_wsgi_application

from glitchtip import version
from glitchtip.environment import read


def with_cookies_as_sent(application):
    """The version's own server may send the cookie's header in its own way."""

    def answer(environ, start_response):
        def start(status, headers, *rest):
            sent = [(name, version.COOKIE_PREFIX + value if name == "Set-Cookie" else value) for name, value in headers]
            return start_response(status, sent, *rest)

        return application(environ, start)

    return answer


class Command(BaseCommand):
    help = "Runs the web server"
    requires_system_checks = []

    def handle(self, **options):
        signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
        port = int(read("PORT", version.DEFAULT_PORT) or 0)
        self.stdout.write(f"GlitchTip (stand-in) is ready on port {port or 'by chance'}")
        run("0.0.0.0", port, with_cookies_as_sent(get_wsgi_application()), threading=True)
