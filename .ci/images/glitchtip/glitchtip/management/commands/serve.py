import os
import signal

from django.core.management.base import BaseCommand
from django.core.servers.basehttp import run
from django.core.wsgi import get_wsgi_application

from glitchtip.environment import read


class Command(BaseCommand):
    help = "Runs the web server"
    requires_system_checks = []

    def handle(self, **options):
        signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
        port = int(read("PORT", "8000") or 0)
        self.stdout.write(f"GlitchTip (stand-in) is ready on port {port or 'by chance'}")
        run("0.0.0.0", port, get_wsgi_application(), threading=True)
