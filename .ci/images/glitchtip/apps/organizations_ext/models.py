from django.db import models

from glitchtip.base_models import free_slug

from .constants import OrganizationUserRole


class SharedBaseModel(models.Model):
    created = models.DateTimeField(auto_now_add=True)
    modified = models.DateTimeField(auto_now=True)

    class Meta:
        abstract = True


class Organization(SharedBaseModel):
    id = models.AutoField(primary_key=True)
    name = models.CharField(max_length=200)
    slug = models.SlugField(max_length=200, unique=True)
    is_active = models.BooleanField(default=True)
    users = models.ManyToManyField(
        "users.User", through="OrganizationUser", related_name="organizations_ext_organization"
    )
    is_accepting_events = models.BooleanField(default=True)
    event_throttle_rate = models.PositiveSmallIntegerField(default=0)
    open_membership = models.BooleanField(default=True)
    scrub_ip_addresses = models.BooleanField(default=True)

    def __str__(self):
        return self.name

    def save(self, *args, **kwargs):
        if not self.slug:
            self.slug = free_slug(self.name, Organization.objects)
        super().save(*args, **kwargs)

    def add_user(self, user, role=OrganizationUserRole.MEMBER):
        """The first one becomes the owner, whatever the role asked for."""
        first = not self.users.exists()
        member = self.organization_users.create(user=user, role=OrganizationUserRole.OWNER if first else role)
        if first:
            OrganizationOwner.objects.create(organization=self, organization_user=member)
        return member


class OrganizationUser(SharedBaseModel):
    organization = models.ForeignKey(Organization, on_delete=models.CASCADE, related_name="organization_users")
    user = models.ForeignKey(
        "users.User",
        blank=True,
        null=True,
        on_delete=models.CASCADE,
        related_name="organizations_ext_organizationuser",
    )
    role = models.PositiveSmallIntegerField(choices=OrganizationUserRole.choices)
    email = models.EmailField(blank=True, null=True)

    class Meta:
        unique_together = (("user", "organization"), ("email", "organization"))


class OrganizationOwner(SharedBaseModel):
    organization = models.OneToOneField(Organization, on_delete=models.CASCADE, related_name="owner")
    organization_user = models.OneToOneField(OrganizationUser, on_delete=models.CASCADE)
