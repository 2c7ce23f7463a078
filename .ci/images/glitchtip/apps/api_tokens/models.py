import secrets

from django.conf import settings
from django.db import models

from bitfield import BitField
from glitchtip.base_models import CreatedModel


def generate_token():
    return secrets.token_hex(32)


class APIToken(CreatedModel):
    token = models.CharField(max_length=64, unique=True, editable=False, default=generate_token)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE)
    label = models.CharField(max_length=255, blank=True)
    scopes = BitField(
        flags=(
            "project:read", "project:write", "project:admin", "project:releases",
            "team:read", "team:write", "team:admin",
            "event:read", "event:write", "event:admin",
            "org:read", "org:write", "org:admin",
            "member:read", "member:write", "member:admin",
        )
    )  # fmt: skip

    def get_scopes(self):
        return [name for name, on in self.scopes.items() if on]

    def add_permission(self, permission):
        self.add_permissions([permission])

    def add_permissions(self, permissions):
        for permission in permissions:
            setattr(self.scopes, permission, True)
        self.save(update_fields=["scopes"])
