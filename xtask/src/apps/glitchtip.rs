//! GlitchTip's own interface, as far as we use it (GlitchTip 5.2, measured 2026-11-22; 6.x, read).
//!
//! Never sends a wrong DSN key: GlitchTip would refuse the right one too, for 30 s.

use anyhow::{Context, bail};
use serde::Deserialize;
use serde_json::json;

use crate::apps::http::{self, Method};

/// The project that holds the errors of `verify`; `glitchtip-accounts.py` makes it.
pub const VERIFICATION_PROJECT: &str = "xtask-verify";

pub struct GlitchTip {
    /// Scheme, host and port.
    pub url: String,
    /// A token that may read organizations, projects and events.
    pub token: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
pub struct Project {
    pub id: String,
    pub name: String,
    pub slug: String,
    pub organization: Organization,
}

#[derive(Clone, Debug, Default, Deserialize)]
pub struct Organization {
    pub slug: String,
}

/// Where an SDK sends errors: scheme, key, host and project in one URL.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Dsn {
    /// Scheme, host and port.
    pub url: String,
    pub key: String,
    pub project: String,
}

#[derive(Debug, PartialEq, Eq)]
pub enum Login {
    Accepted,
    Refused,
    /// Too many wrong passwords lately.
    Throttled,
}

impl Dsn {
    /// Reads `http://KEY@errors.local:3002/1`.
    pub fn parse(text: &str) -> Option<Dsn> {
        let (scheme, rest) = text.split_once("://")?;
        let (key, rest) = rest.split_once('@')?;
        let (host, project) = rest.rsplit_once('/')?;
        Some(Dsn {
            url: format!("{scheme}://{host}"),
            key: key.to_owned(),
            project: project.to_owned(),
        })
    }

    /// The same project's DSN at another address.
    pub fn at(&self, url: &str) -> String {
        let (scheme, host) = url.split_once("://").unwrap_or(("http", url));
        format!("{scheme}://{}@{host}/{}", self.key, self.project)
    }
}

impl GlitchTip {
    /// Checks that the server answers and reaches its database.
    pub fn check_answers(&self) -> anyhow::Result<()> {
        http::get(&self.url, "/api/settings/", &[])?.success("GlitchTip")?;
        Ok(())
    }

    /// Whether whoever comes may make a user; without any user that is so whatever the settings say.
    pub fn is_open_for_signup(&self) -> anyhow::Result<bool> {
        let body =
            http::get(&self.url, "/_allauth/browser/v1/config", &[])?.success("GlitchTip")?;
        let open = body["data"]["account"]["is_open_for_signup"].as_bool();
        open.context("GlitchTip does not say whether sign-up is open")
    }

    /// Logs in and out again.
    pub fn log_in(&self, email: &str, password: &str) -> anyhow::Result<Login> {
        // Django compares the cookie with the header; who made them is all the same to it.
        let csrf = "0123456789abcdef0123456789abcdef";
        let body = json!({"email": email, "password": password});
        let headers = [
            ("Cookie", &*format!("csrftoken={csrf}")),
            ("X-CSRFToken", csrf),
        ];
        let answer = http::post_json(
            &self.url,
            "/_allauth/browser/v1/auth/login",
            &headers,
            &body,
        )?;
        match answer.status {
            200 => {}
            400 => return Ok(Login::Refused),
            429 => return Ok(Login::Throttled),
            // The password was right, and a second factor is asked for.
            401 if answer.body.to_string().contains("mfa_authenticate") => {
                return Ok(Login::Accepted);
            }
            _ => bail!("GlitchTip answers {answer}"),
        }
        // The login gave us another token beside the session.
        let csrf = answer
            .cookies
            .iter()
            .find_map(|cookie| cookie.strip_prefix("csrftoken="))
            .unwrap_or(csrf);
        let headers = [
            ("Cookie", &*answer.cookies.join("; ")),
            ("X-CSRFToken", csrf),
        ];
        http::ask(
            Method::Delete,
            &self.url,
            "/_allauth/browser/v1/auth/session",
            &headers,
            "",
        )?;
        Ok(Login::Accepted)
    }

    fn read<T: for<'a> Deserialize<'a>>(&self, path: &str) -> anyhow::Result<T> {
        let answer = http::get(
            &self.url,
            path,
            &[("Authorization", &format!("Bearer {}", self.token))],
        )?;
        if answer.status == 401 || answer.status == 403 {
            bail!(
                "GlitchTip refuses GLITCHTIP_API_TOKEN of deploy/analytics/.env; \
                 `cargo xtask restart glitchtip-web` makes it valid again"
            );
        }
        let body = answer.success("GlitchTip")?;
        T::deserialize(body)
            .with_context(|| format!("GlitchTip's answer to {path} is not known here"))
    }

    pub fn projects(&self) -> anyhow::Result<Vec<Project>> {
        self.read("/api/0/projects/")
    }

    /// The first key of a project.
    pub fn dsn(&self, project: &Project) -> anyhow::Result<Dsn> {
        #[derive(Deserialize)]
        struct Key {
            dsn: Dsns,
        }
        #[derive(Deserialize)]
        struct Dsns {
            public: String,
        }
        let keys: Vec<Key> = self.read(&format!(
            "/api/0/projects/{}/{}/keys/",
            project.organization.slug, project.slug
        ))?;
        let key = keys.first().with_context(|| {
            format!(
                "the project {} has no key; `cargo xtask restart glitchtip-web` makes one",
                project.name
            )
        })?;
        Dsn::parse(&key.dsn.public).context("GlitchTip's DSN is of a kind not known here")
    }

    /// Sends an error to the project of `dsn` at our address, as an SDK would.
    ///
    /// # Errors
    /// When GlitchTip does not accept it, with the hop that lost it.
    pub fn send_error(&self, dsn: &Dsn, event_id: &str) -> anyhow::Result<()> {
        let header = json!({"event_id": event_id, "dsn": dsn.at(&dsn.url)});
        // One fingerprint for all of them: they gather in one issue, which GlitchTip empties by age.
        let event = json!({
            "event_id": event_id,
            "platform": "other",
            "level": "error",
            "message": "cargo xtask verify: a test error",
            "fingerprint": [VERIFICATION_PROJECT],
        });
        let envelope = format!("{header}\n{}\n{event}\n", json!({"type": "event"}));
        let auth = format!(
            "Sentry sentry_version=7, sentry_client=xtask/1.0, sentry_key={}",
            dsn.key
        );
        let headers = [
            ("Content-Type", "application/x-sentry-envelope"),
            ("X-Sentry-Auth", auth.as_str()),
        ];
        let path = format!("/api/{}/envelope/", dsn.project);
        let answer = http::ask(Method::Post, &self.url, &path, &headers, &envelope)
            .context("lost on the way into GlitchTip's queue; is Redis well?")?;
        match answer.status {
            200 => Ok(()),
            403 => bail!(
                "GlitchTip refuses the key; after a wrong one it refuses the right one too, for 30 s"
            ),
            500.. => {
                bail!(
                    "lost between GlitchTip and Redis: GlitchTip answers {answer}; see `cargo xtask logs glitchtip-web`"
                )
            }
            _ => bail!("GlitchTip answers {answer}"),
        }
    }

    /// Whether the worker has made an issue of an event.
    pub fn has_stored(&self, organization: &str, event_id: &str) -> anyhow::Result<bool> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Issue {
            matching_event_id: Option<String>,
        }
        let issues: Vec<Issue> = self.read(&format!(
            "/api/0/organizations/{organization}/issues/?query={event_id}"
        ))?;
        Ok(issues.iter().any(|issue| {
            issue
                .matching_event_id
                .as_deref()
                .is_none_or(|id| id == event_id)
        }))
    }
}

/// The project that the website reports to: the one with this name or slug, else the oldest, which was renamed.
pub fn find_site<'a>(projects: &'a [Project], name: &str) -> Option<&'a Project> {
    let age = |project: &&Project| project.id.parse().unwrap_or(u64::MAX);
    let sites = || {
        projects
            .iter()
            .filter(|project| !is_for_verification(project))
    };
    let named = sites()
        .filter(|project| project.name == name || project.slug == name)
        .min_by_key(age);
    named.or_else(|| sites().min_by_key(age))
}

pub fn find_verification(projects: &[Project]) -> Option<&Project> {
    projects.iter().find(|project| is_for_verification(project))
}

/// One that was made again after it was deleted may have another slug.
fn is_for_verification(project: &Project) -> bool {
    project.slug == VERIFICATION_PROJECT || project.name == VERIFICATION_PROJECT
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dsn_moves_to_another_address() {
        let dsn =
            Dsn::parse("http://51ffd942fecc45eb822fe71dac1d8c1e@errors.local:3002/2").unwrap();
        assert_eq!(
            (&*dsn.url, &*dsn.project),
            ("http://errors.local:3002", "2")
        );
        assert_eq!(
            dsn.at(&dsn.url),
            "http://51ffd942fecc45eb822fe71dac1d8c1e@errors.local:3002/2"
        );
        assert_eq!(
            dsn.at("http://localhost:3002"),
            "http://51ffd942fecc45eb822fe71dac1d8c1e@localhost:3002/2"
        );
        assert_eq!(Dsn::parse("not a DSN"), None);
    }

    /// Projects as GlitchTip 5.2 lists them: id, name and slug of each.
    #[track_caller]
    fn check(rows: &[[&str; 3]], site: Option<&str>, verification: Option<&str>) {
        let project = |[id, name, slug]: &[&str; 3]| -> Project {
            let organization = json!({"id": "1", "name": "sbozh.me", "slug": "sbozhme", "status": {"id": "active"}});
            let project = json!({"id": id, "name": name, "slug": slug, "organization": organization, "color": ""});
            serde_json::from_value(project).unwrap()
        };
        let projects: Vec<Project> = rows.iter().map(project).collect();
        assert_eq!(
            find_site(&projects, "website").map(|project| &*project.id),
            site
        );
        assert_eq!(
            find_verification(&projects).map(|project| &*project.id),
            verification
        );
    }

    #[test]
    fn finds_projects_by_name_or_slug_or_age() {
        let verify = ["2", "xtask-verify", "xtask-verify"];
        let later = ["13", "shop", "shop"];
        check(
            &[verify, later, ["3", "website", "website"]],
            Some("3"),
            Some("2"),
        );
        check(
            &[later, verify, ["3", "renamed", "website"]],
            Some("3"),
            Some("2"),
        );
        check(
            &[later, verify, ["3", "renamed", "renamed"]],
            Some("3"),
            Some("2"),
        );
        check(&[["5", "xtask-verify", "xtask-verify-2"]], None, Some("5"));
        check(&[], None, None);
    }

    #[test]
    fn the_accounts_script_makes_the_project_that_verify_uses() {
        let script = include_str!("../../../deploy/analytics/glitchtip-accounts.py");
        assert!(script.contains(&format!("VERIFY_PROJECT = \"{VERIFICATION_PROJECT}\"")));
    }
}
