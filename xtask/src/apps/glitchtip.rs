//! GlitchTip's own interface, as far as we use it (GlitchTip 5.2, measured 2026-11-25; 6.x, read).
//!
//! Never sends a wrong DSN key to a project that exists: 5.2 would refuse the right one too, for 30 s.

use anyhow::{Context, bail};
use serde::Deserialize;
use serde_json::json;

use crate::apps::http::{Answer, Request, Transport};
use crate::problem::Problem;

/// The project that holds the errors of `verify`; `glitchtip-accounts.py` makes it.
pub const VERIFICATION_PROJECT: &str = "xtask-verify";

/// Django compares the cookie with the header; who made them is all the same to it.
const CSRF_TOKEN: &str = "0123456789abcdef0123456789abcdef";

const SESSION_PATH: &str = "/_allauth/browser/v1/auth/session";

pub struct GlitchTip<'a> {
    /// Scheme, host and port.
    pub url: String,
    /// The way there.
    pub transport: &'a dyn Transport,
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
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dsn {
    /// Scheme, host and port.
    pub url: String,
    pub key: String,
    pub project: String,
}

/// A group of equal errors.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Issue {
    pub id: String,
    project: IssueProject,
    matching_event_id: Option<String>,
}

#[derive(Debug, Deserialize)]
struct IssueProject {
    id: String,
}

pub enum Login {
    Accepted(Session),
    /// The password was right, and a second factor is asked for.
    NeedsSecondFactor(Session),
    Refused,
    /// Too many wrong passwords lately.
    Throttled,
}

/// A login of a browser, until it is logged out.
pub struct Session {
    cookies: String,
    csrf_token: String,
    referer: String,
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

impl GlitchTip<'_> {
    fn send(&self, request: &Request) -> anyhow::Result<Answer> {
        self.transport.send(&self.url, request)
    }

    /// Checks that the server answers and reaches its database.
    pub fn check_answers(&self) -> anyhow::Result<()> {
        self.send(&Request::get("/api/settings/"))?
            .success("GlitchTip")?;
        Ok(())
    }

    fn lost_before_redis(&self, seen: &str) -> Problem {
        let logs = self.transport.deployment().logs("glitchtip-web");
        Problem::new(format!("lost between GlitchTip and Redis: {seen}"))
            .hint(format!("see {logs}"))
    }

    /// With which status a path is answered to whoever comes.
    pub fn status_of(&self, path: &str) -> anyhow::Result<u16> {
        Ok(self.send(&Request::get(path))?.status)
    }

    /// Whether whoever comes may make a user; without any user that is so whatever the settings say.
    pub fn is_open_for_signup(&self) -> anyhow::Result<bool> {
        let body = self
            .send(&Request::get("/_allauth/browser/v1/config"))?
            .success("GlitchTip")?;
        let open = body["data"]["account"]["is_open_for_signup"].as_bool();
        open.context("GlitchTip does not say whether sign-up is open")
    }

    /// Sends an empty envelope to a project that does not exist. GlitchTip refuses it and remembers that in
    /// Redis for 30 s, under a key with the project's number in it (5.0 to 6.2).
    ///
    /// # Errors
    /// When it does not refuse; then it is no GlitchTip, or one without its Redis.
    pub fn be_refused(&self, project: u32, key: &str) -> anyhow::Result<()> {
        let path = format!("/api/{project}/envelope/");
        let answer = self.send_envelope(&path, key, "{}\n".to_owned())?;
        match answer.status {
            401 | 403 => Ok(()),
            500.. => bail!(self.lost_before_redis(&format!("GlitchTip answers {answer}"))),
            _ => bail!("no GlitchTip: it answers {answer}"),
        }
    }

    /// Sends an error to the project of `dsn` at our address, as an SDK would. Twice if need be: the first
    /// request after a restart of Redis may end in a 500 (6.2.6).
    ///
    /// # Errors
    /// When GlitchTip does not accept it, with the hop that lost it.
    pub fn send_error(&self, dsn: &Dsn, event_id: &str) -> anyhow::Result<()> {
        let header = json!({"event_id": event_id, "dsn": dsn.at(&dsn.url)});
        // A fingerprint of its own makes an issue of its own, which can be deleted while others are stored.
        let event = json!({
            "event_id": event_id,
            "platform": "other",
            "level": "error",
            "message": "cargo xtask verify: a test error",
            "fingerprint": [VERIFICATION_PROJECT, event_id],
        });
        let envelope = format!("{header}\n{}\n{event}\n", json!({"type": "event"}));
        let path = format!("/api/{}/envelope/", dsn.project);

        let send = || self.send_envelope(&path, &dsn.key, envelope.clone());
        let mut answer = send()?;
        if answer.status >= 500 {
            answer = send()?;
        }
        match answer.status {
            200 => Ok(()),
            401 | 403 => bail!(
                "GlitchTip refuses the key; after a wrong one it refuses the right one too, for 30 s"
            ),
            500.. => bail!(self.lost_before_redis(&format!("GlitchTip answers {answer}"))),
            _ => bail!("GlitchTip answers {answer}"),
        }
    }

    fn send_envelope(&self, path: &str, key: &str, body: String) -> anyhow::Result<Answer> {
        let auth = format!("Sentry sentry_version=7, sentry_client=xtask/1.0, sentry_key={key}");
        let request = Request::post(path, body)
            .header("Content-Type", "application/x-sentry-envelope")
            .header("X-Sentry-Auth", &auth);
        // Without Redis it may answer too late (6.2.6).
        self.send(&request)
            .map_err(|error| self.lost_before_redis(&format!("{error:#}")).into())
    }

    /// Logs in as a browser does; the session lasts until [`GlitchTip::log_out`].
    pub fn log_in(&self, email: &str, password: &str) -> anyhow::Result<Login> {
        let body = json!({"email": email, "password": password});
        let session = Session::begin(&self.url, Vec::new());
        let request = Request::post_json("/_allauth/browser/v1/auth/login", &body);
        let answer = self.send(&session.sign(request))?;
        let begin = |answer: Answer| Session::begin(&self.url, answer.cookies);
        match answer.status {
            200 => Ok(Login::Accepted(begin(answer))),
            400 => Ok(Login::Refused),
            429 => Ok(Login::Throttled),
            401 if answer.body.to_string().contains("mfa_authenticate") => {
                Ok(Login::NeedsSecondFactor(begin(answer)))
            }
            _ => bail!("GlitchTip answers {answer}"),
        }
    }

    /// Ends a session, and checks that it has ended.
    pub fn log_out(&self, session: &Session) -> anyhow::Result<()> {
        let answer = self.send(&session.sign(Request::delete(SESSION_PATH)))?;
        // That nobody is logged in any more is what allauth says with a 401.
        if answer.status != 401 {
            bail!("GlitchTip does not log out: it answers {answer}");
        }
        let answer = self.send(&session.sign(Request::get(SESSION_PATH)))?;
        if !matches!(answer.status, 401 | 410) {
            bail!("GlitchTip keeps the session after the logout: it answers {answer}");
        }
        Ok(())
    }

    /// Deletes an issue with all its events; GlitchTip's worker does the work.
    pub fn delete_issue(&self, session: &Session, issue: &Issue) -> anyhow::Result<()> {
        let path = format!("/api/0/issues/{}/", issue.id);
        let answer = self.send(&session.sign(Request::delete(&path)))?;
        match answer.status {
            // One that is gone already.
            204 | 404 => Ok(()),
            _ => bail!("GlitchTip does not delete the test error: it answers {answer}"),
        }
    }
}

/// With the token that may read organizations, projects and events.
pub struct Reader<'a> {
    pub glitchtip: &'a GlitchTip<'a>,
    pub token: &'a str,
}

impl Reader<'_> {
    fn read<T: for<'a> Deserialize<'a>>(&self, path: &str) -> anyhow::Result<T> {
        let authorization = format!("Bearer {}", self.token);
        let request = Request::get(path).header("Authorization", &authorization);
        let answer = self.glitchtip.send(&request)?;
        if answer.status == 401 || answer.status == 403 {
            let deployment = self.glitchtip.transport.deployment();
            let again = deployment.prepare_again("glitchtip-web");
            bail!(
                Problem::new(format!(
                    "GlitchTip refuses GLITCHTIP_API_TOKEN of {}",
                    deployment.env_file()
                ))
                .hint(format!("make it valid again with {again}"))
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
            let deployment = self.glitchtip.transport.deployment();
            let again = deployment.prepare_again("glitchtip-web");
            Problem::new(format!("the project {} has no key", project.name))
                .hint(format!("make one with {again}"))
        })?;
        Dsn::parse(&key.dsn.public).context("GlitchTip's DSN is of a kind not known here")
    }

    /// The issue that the worker has made of an event; `None` while there is none.
    pub fn find_issue(&self, organization: &str, event_id: &str) -> anyhow::Result<Option<Issue>> {
        let path = format!("/api/0/organizations/{organization}/issues/?query={event_id}");
        let issues: Vec<Issue> = self.read(&path)?;
        let is_it = |issue: &Issue| {
            let id = issue.matching_event_id.as_deref();
            id.is_none_or(|id| id.replace('-', "") == event_id)
        };
        Ok(issues.into_iter().find(is_it))
    }

    /// The newest issues of a project.
    pub fn issues(&self, project: &Project) -> anyhow::Result<Vec<Issue>> {
        let organization = &project.organization.slug;
        let path = format!(
            "/api/0/organizations/{organization}/issues/?project={}",
            project.id
        );
        let mut issues: Vec<Issue> = self.read(&path)?;
        // They will be deleted: whatever the server makes of the query, no other project's may be among them.
        issues.retain(|issue| issue.project.id == project.id);
        Ok(issues)
    }
}

impl Session {
    /// With the cookies of the login, which also gave us another token; none before it.
    fn begin(url: &str, cookies: Vec<String>) -> Session {
        let own = |cookie: &&String| cookie.starts_with("csrftoken=");
        let given = cookies.iter().find(own).cloned();
        let given = given.unwrap_or_else(|| format!("csrftoken={CSRF_TOKEN}"));
        let others = cookies
            .into_iter()
            .filter(|cookie| !cookie.starts_with("csrftoken="));
        Session {
            csrf_token: given.trim_start_matches("csrftoken=").to_owned(),
            cookies: others.chain([given]).collect::<Vec<_>>().join("; "),
            // Over TLS, Django takes a change from its own pages alone.
            referer: format!("{url}/"),
        }
    }

    fn sign<'a>(&'a self, request: Request<'a>) -> Request<'a> {
        request
            .header("Cookie", &self.cookies)
            .header("X-CSRFToken", &self.csrf_token)
            .header("Referer", &self.referer)
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
    use crate::apps::deployment::Deployment;

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

    /// Answers everything with one status.
    struct Answering(u16, Deployment);

    impl Transport for Answering {
        fn send(&self, _: &str, request: &Request) -> anyhow::Result<Answer> {
            Ok(Answer {
                status: self.0,
                body: serde_json::Value::Null,
                cookies: Vec::new(),
                path: request.path.to_owned(),
            })
        }

        fn deployment(&self) -> Deployment {
            self.1
        }
    }

    #[test]
    fn what_is_to_be_typed_mends_the_deployment_that_was_asked() {
        #[track_caller]
        fn check(deployment: Deployment, token: &str, queue: &str) {
            let url = "http://errors.local:3002".to_owned();
            let hint = |error: anyhow::Error| Problem::of(&error).hint.unwrap();
            let (refusing, broken) = (Answering(403, deployment), Answering(500, deployment));
            let mut glitchtip = GlitchTip {
                url,
                transport: &refusing,
            };
            let reader = Reader {
                glitchtip: &glitchtip,
                token: "token",
            };
            let said = hint(reader.projects().unwrap_err());
            assert!(said.contains(token), "{said}");

            glitchtip.transport = &broken;
            let said = hint(glitchtip.be_refused(1, "key").unwrap_err());
            assert!(said.contains(queue), "{said}");
        }
        check(
            Deployment::Here,
            "`cargo xtask restart glitchtip-web`",
            "`cargo xtask logs glitchtip-web`",
        );
        check(
            Deployment::Production,
            "`cargo xtask production deploy`",
            "`cargo xtask production logs glitchtip-web`",
        );
    }

    #[test]
    fn a_session_sends_the_token_that_the_login_gave() {
        #[track_caller]
        fn check(cookies: &[&str], cookie: &str, csrf_token: &str) {
            let cookies = cookies.iter().map(ToString::to_string).collect();
            let session = Session::begin("https://errors.example.com", cookies);
            let request = session.sign(Request::delete(SESSION_PATH));
            for header in [
                ("Cookie", cookie),
                ("X-CSRFToken", csrf_token),
                ("Referer", "https://errors.example.com/"),
            ] {
                assert!(request.headers.contains(&header), "{header:?}");
            }
        }
        let default = format!("sessionid=s; csrftoken={CSRF_TOKEN}");
        check(
            &["csrftoken=new", "sessionid=s"],
            "sessionid=s; csrftoken=new",
            "new",
        );
        check(&["sessionid=s"], &default, CSRF_TOKEN);
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
