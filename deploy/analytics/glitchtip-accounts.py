"""Migrates GlitchTip's database and opens its accounts, before GlitchTip starts.

Run on every start with the image's own Python, in the image's working directory.
It does what the image's bin/run-migrate.sh does, in one process instead of one
for each command, which saves 5 s a start. Then it creates what is missing: the
administrator, the organization, a team, the site's project, the project that
holds the events of `cargo xtask verify`, and the token that reads them. What
exists is left as it is: nothing is renamed, and no password that works is
changed. It prints names, never a secret.

With SET_ADMIN_PASSWORD=1 it gives the administrator the password that .env says,
whatever it was before, and does nothing else:

    docker compose run --rm --env SET_ADMIN_PASSWORD=1 glitchtip-migrate

The models are those of GlitchTip 5.2 (run) and 6.2.6 (read). A version without
that script is migrated with the commands that 6.2.6's has.
"""

import gc
import os
import re
import subprocess
import sys

SCRIPT = "bin/run-migrate.sh"
WITHOUT_SCRIPT = [["migrate", "--skip-checks"], ["createcachetable"], ["maintain_partitions"]]
VERIFY_PROJECT = "xtask-verify"
TOKEN_LABEL = "cargo xtask verify"
TOKEN_SCOPES = ["org:read", "project:read", "event:read"]


def main():
    email = wanted_email()
    if os.environ.get("SET_ADMIN_PASSWORD") == "1":
        set_up_django()
        change = set_password
    else:
        migrate()
        change = open_accounts
    from django.db import DatabaseError, transaction

    try:
        with transaction.atomic():
            change(email)
    except DatabaseError as error:
        # Its text would show the values of the row, the token among them.
        diagnosis = getattr(error.__cause__, "diag", None)
        refuse(f"the accounts: {getattr(diagnosis, 'message_primary', None) or type(error).__name__}")


def open_accounts(email):
    admin = ensure_admin(email)
    organization = ensure_organization(admin)
    site = ensure_project(organization, setting("GLITCHTIP_PROJECT", "website"), or_oldest=True)
    verify = ensure_project(organization, VERIFY_PROJECT)
    ensure_team(organization, admin, [site, verify])
    ensure_token(admin)


def set_password(email):
    """Gives the administrator, or the oldest one if ADMIN_EMAIL is none, the password that .env says."""
    from apps.users.models import User

    superusers = User.objects.filter(is_superuser=True, is_active=True).order_by("pk")
    admin = superusers.filter(email=email).first() or superusers.first()
    if admin is None:
        refuse("GlitchTip has no administrator to give a password to")
    password = secret("GLITCHTIP_ADMIN_PASSWORD")
    if password is None:
        admin.set_unusable_password()
        say("nobody can log in now: GLITCHTIP_ADMIN_PASSWORD is not set in .env")
    else:
        admin.set_password(password)
        say(f'set the password of the administrator "{admin.email}"')
    admin.save(update_fields=["password"])


def ensure_admin(email):
    """The user with ADMIN_EMAIL, else the oldest superuser, whose address was changed."""
    from allauth.account.models import EmailAddress
    from apps.users.models import User

    superusers = User.objects.filter(is_superuser=True, is_active=True).order_by("pk")
    admin = User.objects.filter(email=email).first() or superusers.first()
    password = secret("GLITCHTIP_ADMIN_PASSWORD")
    if admin is None:
        admin = User.objects.create_superuser(email=email, password=password)
        EmailAddress.objects.create(user=admin, email=admin.email, primary=True, verified=True)
        say(f'created the administrator "{admin.email}"')
        if password is None:
            say("nobody can log in yet: GLITCHTIP_ADMIN_PASSWORD is not set in .env")
    elif not admin.is_superuser:
        say(f'left "{admin.email}" an ordinary user; ADMIN_EMAIL is no administrator of GlitchTip')
    elif password is not None and not admin.has_usable_password():
        admin.set_password(password)
        admin.save(update_fields=["password"])
        say(f'set the password of the administrator "{admin.email}"')
    return admin


def ensure_organization(admin):
    """The organization of that name, else the administrator's oldest, which was renamed."""
    from apps.organizations_ext.constants import OrganizationUserRole
    from apps.organizations_ext.models import Organization

    name = setting("GLITCHTIP_ORGANIZATION", "Website")
    organization = named(Organization, name) or alive(Organization).filter(users=admin).first()
    if organization is None:
        organization = Organization.objects.create(name=name)
        say(f'created the organization "{name}"')
    if not organization.users.filter(pk=admin.pk).exists():
        organization.add_user(admin, OrganizationUserRole.OWNER)
    return organization


def ensure_project(organization, name, or_oldest=False):
    """The project of that name; for the site also the oldest other one, which was renamed."""
    from apps.projects.models import Project

    project = named(Project, name, organization=organization)
    if project is None and or_oldest:
        others = alive(Project).filter(organization=organization)
        project = others.exclude(slug=VERIFY_PROJECT).exclude(name=VERIFY_PROJECT).first()
    if project is None:
        project = Project.objects.create(organization=organization, name=name, platform="other")
        say(f'created the project "{name}"')
    if not project.projectkey_set.exists():
        project.projectkey_set.create()
        say(f'created a key of the project "{project.name}"')
    return project


def ensure_team(organization, admin, projects):
    """A project without a team is shown to nobody, so each is given the organization's oldest."""
    from apps.teams.models import Team

    homeless = [project for project in projects if not project.teams.exists()]
    team = Team.objects.filter(organization=organization).order_by("pk").first()
    if team is None:
        team = Team.objects.create(organization=organization, slug=organization.slug[:50])
        team.members.add(*organization.organization_users.filter(user=admin))
        say(f'created the team "{team.slug}"')
    team.projects.add(*homeless)


def ensure_token(admin):
    """Exactly one token with our label: the one in .env, that may read and nothing else."""
    from apps.api_tokens.models import APIToken

    value = secret("GLITCHTIP_API_TOKEN")
    if value is None:
        return say("created no token: GLITCHTIP_API_TOKEN is not set in .env")
    if not 32 <= len(value) <= 64:
        return say("created no token: GLITCHTIP_API_TOKEN must have 32 to 64 characters")
    ours = APIToken.objects.filter(label=TOKEN_LABEL)
    kept = next((token for token in ours if token.token == value and token.user_id == admin.pk), None)
    ours.exclude(pk=kept and kept.pk).delete()
    if kept:
        return
    token = APIToken(user=admin, label=TOKEN_LABEL, token=value, scopes=0)
    token.save()
    token.add_permissions(TOKEN_SCOPES)
    say(f'created the token "{TOKEN_LABEL}"')


def alive(model):
    """All rows of a model, the oldest first, without those that are being deleted."""
    fields = {field.name for field in model._meta.get_fields()}
    rows = model.objects.order_by("pk")
    return rows.filter(is_deleted=False) if "is_deleted" in fields else rows


def named(model, name, **scope):
    from django.db.models import Q
    from django.utils.text import slugify

    return alive(model).filter(Q(name=name) | Q(slug=slugify(name)), **scope).first()


def migrate():
    """What bin/run-migrate.sh does, in this process where we can tell what that is."""
    commands = manage_commands()
    if commands is None:
        subprocess.run([f"./{SCRIPT}"], check=True)
    # Migrating makes millions of objects that stay: looking for cycles among them takes 0.5 s of 9.
    gc.set_threshold(100_000, 50)
    set_up_django()
    from django.core.management import call_command

    for command in commands or []:
        print("manage.py", *command, flush=True)
        call_command(*command)


def set_up_django():
    sys.path.insert(0, os.getcwd())
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "glitchtip.settings")
    import django

    django.setup()


def manage_commands():
    """The arguments of each ./manage.py in the image's script, or None if it does more than that.

    bash reads the script, restricted so that it can start no program and write no file;
    manage.py and echo are replaced by functions.
    """
    if not os.path.exists(SCRIPT):
        return WITHOUT_SCRIPT
    with open(SCRIPT) as script:
        text = script.read()
    plain_calls = re.findall(r"^\./manage\.py [^|&;<>()`\n]*$", text, re.MULTILINE)
    if len(plain_calls) != text.count("manage.py"):
        return None
    functions = "manage_py() { printf '%s\\0' \"$@\"; printf '\\n'; }; echo() { :; }\n"
    probe = subprocess.run(
        ["/bin/bash", "--restricted", "-e", "-c", functions + text.replace("./manage.py", "manage_py")],
        env={**os.environ, "PATH": "/nonexistent"},
        capture_output=True,
        text=True,
    )
    lines = probe.stdout.splitlines()
    if probe.returncode != 0 or not all(line.endswith("\0") for line in lines):
        return None
    return [line[:-1].split("\0") for line in lines]


def wanted_email():
    from pydantic.networks import validate_email

    email = setting("ADMIN_EMAIL", "")
    try:
        # GlitchTip checks each answer with this, so a wrong address breaks every page.
        validate_email(email)
    except ImportError:
        # Without the package email-validator GlitchTip cannot check either.
        pass
    except ValueError as error:
        refuse(f'ADMIN_EMAIL: GlitchTip cannot serve "{email}" ({reason(error)}); set another address in .env')
    return email


def reason(error):
    return str(getattr(error, "context", None) and error.context.get("reason") or error).rstrip(".")


def secret(name):
    """The value, or None for a placeholder that nobody replaced."""
    value = os.environ.get(name, "")
    return None if not value or value.startswith("change_this") else value


def setting(name, default):
    return os.environ.get(name, "").strip() or default


def say(text):
    print(text, flush=True)


def refuse(text):
    sys.exit(text)


if __name__ == "__main__":
    main()
