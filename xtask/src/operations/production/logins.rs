//! The logins of the databases: of the two roles that each application takes in turn, only the one in use stays open.

use std::time::Duration;

use anyhow::Context;

use crate::problem::Problem;
use crate::swarm::Swarm;
use crate::swarm::files::JOBS;
use crate::swarm::jobs::Job;
use crate::swarm::release::Release;
use crate::terminal::say;

const JOB_TIMEOUT: Duration = Duration::from_secs(300);

/// Closes the logins that a rotation has left open, also one that was killed; `release` runs, and is what the env
/// file says.
///
/// # Errors
/// When the job that closes them fails: the next deployment tries it again.
pub fn finish_rotation(swarm: &Swarm, release: &Release) -> anyhow::Result<()> {
    if !swarm.is_rotating()? {
        return Ok(());
    }
    say!("closing the logins that nobody uses any more");
    close_others(swarm, release)?;
    swarm.end_rotation()
}

fn close_others(swarm: &Swarm, release: &Release) -> anyhow::Result<()> {
    let variables = [("CLOSE_OTHER_LOGINS", "1"), ("JOB_ATTEMPTS", "1")];
    let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let mut jobs = swarm.render(JOBS, &variables)?;
    jobs.take_from(&release.jobs);
    jobs.take_image(&release.stack, release.stack.database());
    let job = Job {
        stack: &format!("{}-jobs", swarm.name),
        file: &jobs,
        name: "postgres-init",
        timeout: JOB_TIMEOUT,
    };
    swarm.run_job(&job).map(drop).context(
        Problem::new("the release is in use, and the logins that nobody uses are still open")
            .hint("close them with `cargo xtask production deploy`, once the cause is mended"),
    )
}
