"""The part of /api/0/ that is used: organizations, teams, projects, keys, tokens, issues."""

import functools
import shlex
import uuid

from django.conf import settings
from django.db import connection
from django.http import Http404, HttpResponse, JsonResponse
from pydantic.networks import validate_email

from apps.api_tokens.models import APIToken
from apps.issue_events.models import LEVELS, STATUSES, Issue
from apps.organizations_ext.constants import OrganizationUserRole
from apps.organizations_ext.models import Organization
from apps.projects.models import Project
from apps.teams.models import Team
from glitchtip.accounts import body_of, user_and_scopes


def needs(resource, session_only=False):
    """Lets in who has a login session, or a token with a scope of that resource for the method."""

    def decorate(view):
        @functools.wraps(view)
        def checked(request, **arguments):
            user, scopes = user_and_scopes(request)
            if user is None or (session_only and scopes is not None):
                return JsonResponse({"detail": "Unauthorized"}, status=401)
            kinds = {"GET": ("read", "write", "admin"), "DELETE": ("admin",)}.get(request.method, ("write", "admin"))
            if resource == "event" and request.method == "DELETE":
                kinds = ("write", "admin")
            if scopes is not None and resource and not any(f"{resource}:{kind}" in scopes for kind in kinds):
                return JsonResponse({"detail": "Permission Denied"}, status=403)
            request.user = user
            try:
                return view(request, **arguments)
            except Http404:
                return JsonResponse({"detail": "Not Found"}, status=404)

        return checked

    return decorate


def shown_email(user):
    """An address under a reserved domain passes at login and fails here, as a 500."""
    validate_email(user.email)
    return user.email


def moment(value):
    return value.isoformat().replace("+00:00", "Z") if value else None


def render_user(user):
    return {
        "id": str(user.pk),
        "email": shown_email(user),
        "username": user.email,
        "name": user.name,
        "isSuperuser": user.is_superuser,
        "isActive": user.is_active,
        "dateJoined": moment(user.created),
        "hasUsablePassword": user.has_usable_password(),
        "identities": [],
    }


def render_organization(organization):
    return {
        "id": str(organization.pk),
        "name": organization.name,
        "slug": organization.slug,
        "dateCreated": moment(organization.created),
        "status": {"id": "active", "name": "active"},
        "isAcceptingEvents": organization.is_accepting_events,
        "eventThrottleRate": organization.event_throttle_rate,
    }


def render_team(team):
    return {
        "id": str(team.pk),
        "slug": team.slug,
        "dateCreated": moment(team.created),
        "isMember": True,
        "memberCount": team.members.count(),
    }


def render_project(project):
    return {
        "id": str(project.pk),
        "name": project.name,
        "slug": project.slug,
        "platform": project.platform,
        "dateCreated": moment(project.created),
        "firstEvent": moment(project.first_event),
        "isMember": True,
        "organization": render_organization(project.organization),
    }


def render_key(key):
    dsn = key.get_dsn()
    return {
        "id": str(key.public_key),
        "public": str(key.public_key),
        "label": key.name,
        "name": key.name,
        "isActive": key.is_active,
        "projectId": key.project_id,
        "dateCreated": moment(key.created),
        "dsn": {"public": dsn, "secret": dsn},
        "rateLimit": None,
    }


def render_token(token):
    return {
        "id": token.pk,
        "label": token.label,
        "scopes": token.get_scopes(),
        "token": token.token,
        "created": moment(token.created),
    }


def render_issue(issue):
    project = issue.project
    return {
        "id": str(issue.pk),
        "shortId": f"{project.slug.upper()}-{issue.short_id}",
        "title": issue.title,
        "culprit": issue.culprit or "",
        "level": LEVELS[issue.level],
        "status": STATUSES[issue.status],
        "type": "error",
        "count": str(issue.count),
        "metadata": issue.metadata,
        "project": {"id": str(project.pk), "slug": project.slug, "name": project.name, "platform": project.platform},
        "firstSeen": moment(issue.first_seen),
        "lastSeen": moment(issue.last_seen),
        "matchingEventId": None,
        "permalink": f"{settings.GLITCHTIP_URL.geturl()}/{project.organization.slug}/issues/{issue.pk}",
    }


def rows(found, render):
    return JsonResponse([render(row) for row in found], safe=False)


def organizations_of(user):
    return Organization.objects.filter(users=user).order_by("name")


def find(query, **wanted):
    found = query.filter(**wanted).first()
    if found is None:
        raise Http404()
    return found


@needs(None)
def root(request):
    return JsonResponse({"version": "0", "user": render_user(request.user), "auth": None})


@needs(None)
def me(request):
    return JsonResponse(render_user(request.user))


@needs(None, session_only=True)
def api_tokens(request):
    if request.method == "GET":
        return rows(APIToken.objects.filter(user=request.user), render_token)
    body = body_of(request)
    token = APIToken(user=request.user, label=body.get("label") or "")
    try:
        for scope in body["scopes"]:
            setattr(token.scopes, scope, True)
    except (KeyError, TypeError, AttributeError):
        return JsonResponse({"detail": [{"scopes": "Invalid scope"}]}, status=422)
    token.save()
    return JsonResponse(render_token(token), status=201)


@needs(None, session_only=True)
def api_token(request, token_id):
    find(APIToken.objects.filter(user=request.user), pk=token_id).delete()
    return HttpResponse(status=204)


@needs("org")
def organizations(request):
    if request.method == "GET":
        return rows(organizations_of(request.user), render_organization)
    is_open = settings.ENABLE_ORGANIZATION_CREATION or not Organization.objects.exists()
    if not is_open and not request.user.is_superuser:
        return JsonResponse({"detail": "Organization creation is not open"}, status=403)
    name = body_of(request).get("name")
    if not isinstance(name, str) or not name:
        return JsonResponse({"detail": "name is required"}, status=422)
    # The same name again is a second organization.
    organization = Organization.objects.create(name=name)
    organization.add_user(request.user, OrganizationUserRole.OWNER)
    return JsonResponse(organization_with_details(organization), status=201)


def organization_with_details(organization):
    return {
        **render_organization(organization),
        "projects": [render_project(one) for one in organization.projects.filter(is_deleted=False)],
        "teams": [render_team(one) for one in organization.teams.all()],
        "openMembership": organization.open_membership,
    }


@needs("org")
def organization_detail(request, organization):
    return JsonResponse(organization_with_details(find(organizations_of(request.user), slug=organization)))


@needs("member")
def members(request, organization):
    found = find(organizations_of(request.user), slug=organization)
    return rows(
        found.organization_users.select_related("user"),
        lambda member: {
            "id": str(member.pk),
            "email": shown_email(member.user),
            "role": member.get_role_display().lower(),
            "pending": False,
            "user": render_user(member.user),
        },
    )


@needs("team")
def teams(request, organization):
    found = find(organizations_of(request.user), slug=organization)
    if request.method == "GET":
        return rows(found.teams.order_by("slug"), render_team)
    slug = body_of(request).get("slug")
    if not isinstance(slug, str) or not slug or found.teams.filter(slug=slug).exists():
        return JsonResponse({"detail": "Slug must be unique for organization"}, status=400)
    team = Team.objects.create(slug=slug, organization=found)
    team.members.set(found.organization_users.filter(user=request.user))
    return JsonResponse({**render_team(team), "projects": []}, status=201)


@needs("project")
def team_projects(request, organization, team):
    found = find(organizations_of(request.user), slug=organization)
    team = find(found.teams, slug=team)
    if request.method == "GET":
        return rows(team.projects.filter(is_deleted=False).order_by("name"), render_project)
    body = body_of(request)
    if not isinstance(body.get("name"), str) or not body["name"]:
        return JsonResponse({"detail": "name is required"}, status=422)
    project = Project.objects.create(name=body["name"], platform=body.get("platform"), organization=found)
    project.teams.add(team)
    return JsonResponse(render_project(project), status=201)


def projects_of(user):
    return (
        Project.undeleted_objects.filter(organization__users=user).select_related("organization").order_by("name")
    )


@needs("project")
def projects(request):
    return rows(projects_of(request.user), render_project)


@needs("project")
def organization_projects(request, organization):
    return rows(projects_of(request.user).filter(organization__slug=organization), render_project)


@needs("project")
def project_detail(request, organization, project):
    found = find(projects_of(request.user), organization__slug=organization, slug=project)
    if request.method == "DELETE":
        found.delete()
        return HttpResponse(status=204)
    return JsonResponse(render_project(found))


@needs("project")
def keys(request, organization, project):
    found = find(projects_of(request.user), organization__slug=organization, slug=project)
    if request.method == "GET":
        return rows(found.projectkey_set.order_by("pk"), render_key)
    return JsonResponse(render_key(found.projectkey_set.create(name=body_of(request).get("name") or "")), status=201)


def issues_of(user):
    return Issue.undeleted_objects.filter(project__organization__users=user, project__is_deleted=False).select_related(
        "project__organization"
    )


def search(found, query):
    """`is:` and `level:`, tags as `name:value`, an event's id, and words of the title."""
    try:
        event = uuid.UUID(query)
    except ValueError:
        event = None
    if event:
        return found.extra(
            where=["issue_events_issue.id in (select issue_id from issue_events_issueevent where id = %s)"],
            params=[str(event)],
        )
    words = shlex.split(query)
    while words and ":" in words[0]:
        name, value = words.pop(0).split(":", 1)
        if name == "is":
            found = found.filter(status=STATUSES.index(value) if value in STATUSES else -1)
        elif name == "level":
            found = found.filter(level=LEVELS.index(value) if value in LEVELS else -1)
        else:
            found = found.extra(
                where=["issue_events_issue.id in (select issue_id from issue_events_issueevent where tags->>%s = %s)"],
                params=[name, value],
            )
    if words:
        found = found.extra(
            where=["to_tsvector(issue_events_issue.title) @@ plainto_tsquery(%s)"], params=[" ".join(words)]
        )
    return found


@needs("event")
def issues(request, organization, project=None):
    found = issues_of(request.user).filter(project__organization__slug=organization)
    if project:
        found = found.filter(project__slug=project)
    wanted = request.GET.getlist("project")
    if wanted:
        found = found.filter(project_id__in=[int(one) for one in wanted])
    if request.GET.get("query"):
        found = search(found, request.GET["query"])
    if request.method == "DELETE":
        Issue.objects.filter(pk__in=[issue.pk for issue in found]).update(is_deleted=True)
        return JsonResponse({"status": "resolved"})
    limit = min(int(request.GET.get("limit") or 50), 100)
    return rows(found.order_by("-last_seen")[:limit], render_issue)


@needs("event")
def issue_detail(request, issue_id):
    found = find(issues_of(request.user), pk=issue_id)
    if request.method == "DELETE":
        with connection.cursor() as cursor:
            cursor.execute("delete from issue_events_issueevent where issue_id = %s", [found.pk])
        found.force_delete()
        return HttpResponse(status=204)
    if request.method == "PUT":
        status = body_of(request).get("status")
        if status in STATUSES:
            found.status = STATUSES.index(status)
            found.save()
    return JsonResponse(render_issue(found))


@needs("event")
def events(request, issue_id):
    found = find(issues_of(request.user), pk=issue_id)
    with connection.cursor() as cursor:
        cursor.execute(
            "select id, title, received from issue_events_issueevent where issue_id = %s order by received desc",
            [found.pk],
        )
        listed = [
            {"id": id.hex, "eventID": id.hex, "title": title, "groupID": str(found.pk), "dateReceived": moment(received)}
            for id, title, received in cursor.fetchall()
        ]
    return JsonResponse(listed, safe=False)
