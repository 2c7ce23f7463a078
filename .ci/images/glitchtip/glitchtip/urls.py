from django.urls import path, re_path

from glitchtip import accounts, api, ingest, pages

urlpatterns = [
    path("_health/", pages.health),
    path("api/settings/", pages.settings_answer),
    path("api/0/internal/health", pages.internal_health),
    path("_allauth/browser/v1/config", accounts.config),
    path("_allauth/browser/v1/auth/login", accounts.login),
    path("_allauth/browser/v1/auth/signup", accounts.signup),
    path("_allauth/browser/v1/auth/session", accounts.session),
    path("api/<int:project_id>/envelope/", ingest.envelope),
    path("api/<int:project_id>/store/", ingest.store),
    path("api/0/", api.root),
    path("api/0/users/me/", api.me),
    path("api/0/api-tokens/", api.api_tokens),
    path("api/0/api-tokens/<int:token_id>/", api.api_token),
    path("api/0/organizations/", api.organizations),
    path("api/0/organizations/<slug:organization>/", api.organization_detail),
    path("api/0/organizations/<slug:organization>/members/", api.members),
    path("api/0/organizations/<slug:organization>/teams/", api.teams),
    path("api/0/organizations/<slug:organization>/projects/", api.organization_projects),
    path("api/0/organizations/<slug:organization>/issues/", api.issues),
    path("api/0/teams/<slug:organization>/<slug:team>/projects/", api.team_projects),
    path("api/0/projects/", api.projects),
    path("api/0/projects/<slug:organization>/<slug:project>/", api.project_detail),
    path("api/0/projects/<slug:organization>/<slug:project>/keys/", api.keys),
    path("api/0/projects/<slug:organization>/<slug:project>/issues/", api.issues),
    path("api/0/issues/<int:issue_id>/", api.issue_detail),
    path("api/0/issues/<int:issue_id>/events/", api.events),
    re_path(r"^(login|register|organizations|profile|.*/issues|.*/settings|.*/projects)?/?$", pages.index),
]
