from django.core.management.base import BaseCommand

from glitchtip import partitions


class Command(BaseCommand):
    help = "Creates the partitions of the coming days and deletes those past retention"

    def add_arguments(self, parser):
        parser.add_argument("--yes", action="store_true")

    def handle(self, **options):
        partitions.maintain()
