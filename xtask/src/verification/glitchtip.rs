//! GlitchTip: an error in, through the queue and the worker, and back out.

use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use super::chain::{Chain, wait_for};
use super::public::PublicWay;
use super::stores::Stores;
use super::{Expected, new_marker, ours, start_it};
use crate::apps::glitchtip::{self, Dsn, GlitchTip, Issue, Login, Project, Reader, Session};
use crate::apps::http::Direct;
use crate::problem::Problem;
use crate::stack::published::Endpoint;

/// The claim of the step that the worker is needed for.
pub const SHOWS_THE_ERROR: &str = "shows the error, stored by its worker";

/// How long a deleted issue may take to disappear; it is hidden at once (5.2).
const DELETION_PATIENCE: Duration = Duration::from_secs(2);

/// What is around GlitchTip.
pub struct Surroundings<'a> {
    pub stores: &'a Stores<'a>,
    /// How long an accepted error may take to appear.
    pub patience: Duration,
    /// The way to its public address, if that is to be proven too.
    pub public: Option<&'a PublicWay<'a>>,
}

/// How GlitchTip went.
pub struct Outcome {
    pub chain: Chain,
    /// Whether an error was accepted and did not appear.
    pub is_stuck: bool,
}

/// The project for test errors, and where it takes them.
pub(super) struct Target {
    project: Project,
    dsn: Dsn,
}

/// The administrator, as far as the password leads.
enum Administrator {
    LoggedIn(Session),
    NeedsSecondFactor(Session),
}

pub fn verify(
    endpoint: Result<Endpoint, Problem>,
    expected: &Expected,
    around: &Surroundings,
) -> Outcome {
    let mut chain = Chain::new("glitchtip");
    let glitchtip = chain.begin("runs, and its port is published", || {
        Ok(GlitchTip {
            url: endpoint?.url(),
            transport: &Direct,
        })
    });
    let answers = chain.then(glitchtip.as_ref(), "answers", |it| {
        it.check_answers()
            .map_err(|error| start_it(&error))
            .map(|()| it)
    });
    let ours = chain.then(answers, "uses this stack's Redis", |it| {
        ours::prove_glitchtip(it, around.stores).map(|()| it)
    });
    let reader = ours.map(|glitchtip| Reader {
        glitchtip,
        token: &expected.token,
    });
    let target = chain.then(
        reader.as_ref(),
        "has a DSN for the website, and one for test errors",
        |it| find_target(it, expected),
    );
    if let Some(way) = around.public {
        verify_public(&mut chain, target.as_ref(), way, around.stores);
    }
    let way = reader.as_ref().zip(target.as_ref());
    let is_stuck = exchange(&mut chain, way, expected, around.patience);
    Outcome { chain, is_stuck }
}

/// Sends an error, reads it back and removes it, as the administrator; looks at the accounts while the
/// worker works. Returns whether the error was accepted and did not appear.
pub(super) fn exchange(
    chain: &mut Chain,
    way: Option<(&Reader, &Target)>,
    expected: &Expected,
    patience: Duration,
) -> bool {
    let event_id = new_marker();
    let accepted = chain.then(way, "accepts an error at its DSN", |(reader, target)| {
        reader.glitchtip.send_error(&target.dsn, &event_id)?;
        Ok(Instant::now())
    });
    let glitchtip = way.map(|(reader, _)| reader.glitchtip);
    chain.then(
        glitchtip,
        "is closed for sign-up, unless .env opens it",
        |it| check_signup(it, expected),
    );
    let administrator = chain.then(glitchtip, "logs the administrator in", |it| {
        log_in(it, expected)
    });

    let mut is_stuck = false;
    let issue = chain.then(
        way.zip(accepted),
        SHOWS_THE_ERROR,
        |((reader, target), accepted)| {
            let left = patience.saturating_sub(accepted.elapsed());
            let look = || reader.find_issue(&target.project.organization.slug, &event_id);
            let issue = wait_for(left, look)?;
            is_stuck = issue.is_none();
            issue.context("stuck at the worker")
        },
    );
    let done = way.zip(issue.as_ref()).zip(administrator.as_ref());
    let removed = chain.then(
        done,
        "removes the test error",
        |((way, issue), administrator)| remove(way, issue, administrator),
    );
    if removed == Some(Removed::NotAllowed) {
        chain.note(
            "left one test error in the project xtask-verify: the login needs a second factor",
        );
    }
    chain.then(
        glitchtip.zip(administrator),
        "logs the administrator out",
        |(it, administrator)| it.log_out(administrator.session()),
    );
    is_stuck
}

/// Whether what was sent is gone again.
#[derive(PartialEq, Eq)]
enum Removed {
    Everything,
    NotAllowed,
}

/// Deletes the issue, and whatever an earlier run that was killed has left in the project.
fn remove(
    (reader, target): (&Reader, &Target),
    issue: &Issue,
    administrator: &Administrator,
) -> anyhow::Result<Removed> {
    let Administrator::LoggedIn(session) = administrator else {
        return Ok(Removed::NotAllowed);
    };
    reader.glitchtip.delete_issue(session, issue)?;
    for older in reader.issues(&target.project)? {
        reader.glitchtip.delete_issue(session, &older)?;
    }
    let look = || Ok(reader.issues(&target.project)?.is_empty().then_some(()));
    wait_for(DELETION_PATIENCE, look)?
        .context("GlitchTip still shows the test error after it was deleted")?;
    Ok(Removed::Everything)
}

fn verify_public(chain: &mut Chain, target: Option<&Target>, way: &PublicWay, stores: &Stores) {
    let public = target.map(|target| GlitchTip {
        url: target.dsn.url.clone(),
        transport: way.transport(&target.dsn.url),
    });
    let answers = chain.then(public.as_ref(), "answers at its public address", |it| {
        it.check_answers().map(|()| it)
    });
    if let Some(public) = &public {
        chain.note(public.url.clone());
    }
    chain.then(answers, "is reached at its public address", |it| {
        ours::prove_glitchtip(it, stores)
    });
}

pub(super) fn find_target(reader: &Reader, expected: &Expected) -> anyhow::Result<Target> {
    let again = expected.deployment.prepare_again("glitchtip-web");
    let gone = || {
        Problem::new("a project is gone from GlitchTip").hint(format!("make it again with {again}"))
    };
    let projects = reader.projects()?;
    let site = glitchtip::find_site(&projects, &expected.glitchtip_project);
    reader.dsn(site.with_context(gone)?)?;
    let project = glitchtip::find_verification(&projects).with_context(gone)?;
    Ok(Target {
        project: project.clone(),
        dsn: reader.dsn(project)?,
    })
}

fn check_signup(glitchtip: &GlitchTip, expected: &Expected) -> anyhow::Result<()> {
    if glitchtip.is_open_for_signup()? && !expected.signup_is_wanted {
        let again = expected.deployment.prepare_again("glitchtip-web");
        bail!(
            Problem::new("anyone who reaches GlitchTip can make an account")
                .hint(format!("close it with {again}"))
        );
    }
    Ok(())
}

fn log_in(glitchtip: &GlitchTip, expected: &Expected) -> anyhow::Result<Administrator> {
    match glitchtip.log_in(&expected.email, &expected.glitchtip_password)? {
        Login::Accepted(session) => Ok(Administrator::LoggedIn(session)),
        Login::NeedsSecondFactor(session) => Ok(Administrator::NeedsSecondFactor(session)),
        Login::Throttled => bail!(
            Problem::new("GlitchTip has seen too many wrong passwords lately")
                .hint("repeat the command in 5 minutes")
        ),
        Login::Refused => bail!(
            Problem::new("GlitchTip refuses ADMIN_EMAIL with GLITCHTIP_ADMIN_PASSWORD").hint(format!(
                "if you changed them in GlitchTip, set both in {} to what they are now; a changed \
                 ADMIN_EMAIL makes no new administrator",
                expected.deployment.env_file()
            ))
        ),
    }
}

impl Administrator {
    fn session(&self) -> &Session {
        match self {
            Administrator::LoggedIn(session) | Administrator::NeedsSecondFactor(session) => session,
        }
    }
}
