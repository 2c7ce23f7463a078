"""Gives GlitchTip's administrator the password that .env says."""

import os
import sys

sys.path.insert(0, os.getcwd())
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "glitchtip.settings")
import django

django.setup()
from apps.users.models import User

superusers = User.objects.filter(is_superuser=True, is_active=True).order_by("pk")
admin = superusers.filter(email=os.environ["ADMIN_EMAIL"]).first() or superusers.first()
if admin is not None:
    admin.set_password(os.environ["GLITCHTIP_ADMIN_PASSWORD"])
    admin.save(update_fields=["password"])
    print("set")
