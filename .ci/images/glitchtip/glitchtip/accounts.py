"""Sign-up, login and who is asking. Login sessions are in Redis."""

import json
import secrets
import socket

from django.conf import settings
from django.core.cache import cache
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.http import JsonResponse

from apps.api_tokens.models import APIToken
from apps.users.models import User
from glitchtip.pages import is_registration_open

SESSION_SECONDS = 14 * 24 * 3600


def body_of(request):
    try:
        body = json.loads(request.body)
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def has_csrf_token(request):
    """As Django has it: behind TLS, which uWSGI learns from the proxy, only from a page of this very host."""
    if request.headers.get("X-Forwarded-Proto") == "https":
        own = f"https://{request.get_host()}"
        origin, referer = request.headers.get("Origin"), request.headers.get("Referer", "")
        if not (referer.startswith(f"{own}/") if origin is None else origin == own):
            return False
    cookie = request.COOKIES.get("csrftoken")
    return bool(cookie) and secrets.compare_digest(cookie, request.headers.get("X-CSRFToken", ""))


def session_user(request):
    key = request.COOKIES.get("sessionid")
    found = key and cache.get(f"session:{key}")
    return User.objects.filter(pk=int(found), is_active=True).first() if found else None


def user_and_scopes(request):
    """Who asks, and with which scopes: all of them (None) with a login session."""
    kind, _, value = request.headers.get("Authorization", "").partition(" ")
    if kind == "Bearer":
        token = APIToken.objects.select_related("user").filter(token=value, user__is_active=True).first()
        return (token.user, token.get_scopes()) if token else (None, [])
    user = session_user(request)
    if user and request.method not in ("GET", "HEAD") and not has_csrf_token(request):
        return None, []
    return user, None


def answer(user, status=200):
    data = {"user": {"id": user.pk, "display": user.email, "email": user.email, "has_usable_password": True}}
    return JsonResponse({"status": status, "data": data, "meta": {"is_authenticated": True}}, status=status)


def refusal(status, message, code, parameter):
    return JsonResponse(
        {"status": status, "errors": [{"message": message, "code": code, "param": parameter}]}, status=status
    )


def start_session(user, response):
    key = secrets.token_urlsafe(24)
    cache.set(f"session:{key}", user.pk, SESSION_SECONDS)
    response.set_cookie("sessionid", key, httponly=True, samesite="Lax", max_age=SESSION_SECONDS)
    return response


def config(request):
    data = {"account": {"authentication_method": "email", "is_open_for_signup": is_registration_open()}}
    response = JsonResponse({"status": 200, "data": data})
    if "csrftoken" not in request.COOKIES:
        response.set_cookie("csrftoken", secrets.token_hex(16), samesite="Lax")
    return response


def login(request):
    if request.method != "POST":
        return JsonResponse({}, status=405)
    if not has_csrf_token(request):
        return JsonResponse({"detail": "CSRF Failed"}, status=403)
    body = body_of(request)
    user = User.objects.filter(email__iexact=str(body.get("email")), is_active=True).first()
    if not user or not user.check_password(str(body.get("password"))):
        return refusal(
            400,
            "The email address and/or password you specified are not correct.",
            "email_password_mismatch",
            "password",
        )
    return start_session(user, answer(user))


def signup(request):
    if request.method != "POST":
        return JsonResponse({}, status=405)
    if not has_csrf_token(request):
        return JsonResponse({"detail": "CSRF Failed"}, status=403)
    if not is_registration_open():
        return JsonResponse({"status": 403}, status=403)
    body = body_of(request)
    email, password = str(body.get("email")), str(body.get("password"))
    try:
        validate_email(email)
    except ValidationError:
        return refusal(400, "Enter a valid email address.", "invalid", "email")
    if len(password) < 8:
        return refusal(400, "This password is too short.", "password_too_short", "password")
    if User.objects.filter(email__iexact=email).exists():
        return refusal(400, "A user is already registered with this email address.", "email_taken", "email")
    user = User.objects.create_user(email, password)
    if settings.EMAIL_URL.scheme.startswith("smtp"):
        # The user is there by now; with nobody listening this answer is a 500.
        socket.create_connection((settings.EMAIL_URL.hostname, settings.EMAIL_URL.port or 25), timeout=5).close()
    return start_session(user, answer(user))


def session(request):
    user = session_user(request)
    if user and request.method == "DELETE":
        if not has_csrf_token(request):
            return JsonResponse({"detail": "CSRF Failed"}, status=403)
        cache.delete(f"session:{request.COOKIES['sessionid']}")
        user = None
    if user:
        return answer(user)
    return JsonResponse({"status": 401, "data": {"flows": []}, "meta": {"is_authenticated": False}}, status=401)
