from django.db import models
from django.utils.text import slugify


class CreatedModel(models.Model):
    created = models.DateTimeField(auto_now_add=True, db_index=True)

    class Meta:
        abstract = True


class SoftDeleteManager(models.Manager):
    def get_queryset(self):
        return super().get_queryset().filter(is_deleted=False)


class SoftDeleteModel(models.Model):
    """`delete` only marks the row."""

    is_deleted = models.BooleanField(default=False)
    objects = models.Manager()
    undeleted_objects = SoftDeleteManager()

    class Meta:
        abstract = True

    def delete(self, *args, **kwargs):
        self.is_deleted = True
        self.save(update_fields=["is_deleted"])

    def force_delete(self, *args, **kwargs):
        super().delete(*args, **kwargs)


def free_slug(name, taken):
    """A slug of the name that `taken`, a query over rows with slugs, does not hold yet."""
    slug, number = slugify(name), 1
    wanted = slug
    while taken.filter(slug=wanted).exists():
        number += 1
        wanted = f"{slug}-{number}"
    return wanted
