from uuid import uuid4

from django.conf import settings
from django.db import models

from glitchtip.base_models import CreatedModel, SoftDeleteModel, free_slug


class Project(CreatedModel, SoftDeleteModel):
    slug = models.SlugField(max_length=50)
    name = models.CharField(max_length=64)
    organization = models.ForeignKey(
        "organizations_ext.Organization", on_delete=models.CASCADE, related_name="projects"
    )
    platform = models.CharField(max_length=64, blank=True, null=True)
    first_event = models.DateTimeField(null=True)
    scrub_ip_addresses = models.BooleanField(default=True)
    event_throttle_rate = models.PositiveSmallIntegerField(default=0)

    class Meta:
        unique_together = (("organization", "slug"),)

    def __str__(self):
        return self.name

    def save(self, *args, **kwargs):
        first = not self.pk
        if not self.slug:
            self.slug = free_slug(self.name, Project.objects.filter(organization=self.organization))
        super().save(*args, **kwargs)
        if first:
            ProjectKey.objects.create(project=self)


class ProjectKey(CreatedModel):
    project = models.ForeignKey(Project, on_delete=models.CASCADE)
    is_active = models.BooleanField(default=True)
    name = models.CharField(max_length=64, blank=True)
    public_key = models.UUIDField(default=uuid4, unique=True, editable=False)
    rate_limit_count = models.PositiveSmallIntegerField(blank=True, null=True)
    rate_limit_window = models.PositiveSmallIntegerField(blank=True, null=True)
    data = models.JSONField(blank=True, null=True)

    @property
    def public_key_hex(self):
        return self.public_key.hex

    def get_dsn(self):
        url = settings.GLITCHTIP_URL
        return f"{url.scheme}://{self.public_key_hex}@{url.netloc}{url.path}/{self.project_id}"

    dsn = get_dsn
