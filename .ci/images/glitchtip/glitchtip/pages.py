"""What answers without a login."""

from django.conf import settings
from django.core.cache import cache
from django.http import HttpResponse, JsonResponse

from apps.users.models import User
from glitchtip import version


def is_registration_open():
    """While there is no user, whoever comes first may sign up."""
    return settings.ENABLE_USER_REGISTRATION or not User.objects.exists()


def index(request):
    return HttpResponse("<!doctype html><title>GlitchTip</title><p>A stand-in for GlitchTip.</p>")


def health(request):
    return HttpResponse("ok", content_type="text/plain")


def internal_health(request):
    cache.get("health")
    User.objects.exists()
    return HttpResponse("ok", content_type="text/plain")


def settings_answer(request):
    return JsonResponse(
        {
            "socialApps": [],
            "billingEnabled": False,
            "iPaidForGlitchTip": False,
            "enableUserRegistration": is_registration_open(),
            "enableSocialAuth": True,
            "enableOrganizationCreation": settings.ENABLE_ORGANIZATION_CREATION,
            "stripePublicKey": None,
            "version": version.VERSION,
            "serverTimeZone": "UTC",
        }
    )
