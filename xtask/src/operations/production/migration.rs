//! A migration of Umami that has failed: Prisma notes it in the database, and takes no other before a person has
//! looked. What Prisma says, and the ways out. Must never choose one.

use crate::problem::Problem;
use crate::swarm::operation::Mark;
use crate::terminal::text::{parse_timestamp, render_timestamp};

/// Explains the failure of a job where Prisma's words show a failed migration; else it stays as it is.
pub fn explain(problem: Problem, stack: &str, mark: &Mark) -> Problem {
    let said = problem.evidence.clone().unwrap_or_default();
    let Some(failed) = Failed::parse(&said) else {
        return problem;
    };
    let name = &failed.name;
    let (what, way_back) = match failed.began {
        // It had begun before this deployment.
        Some(began) => {
            let before = render_timestamp(began.saturating_sub(1));
            let before = before.replace('T', " ").replace('Z', "");
            let way_back = format!("cargo xtask production restore --at '{before}'");
            (
                format!("an earlier deployment has left Umami's migration {name} failed (P3009)"),
                Some(way_back),
            )
        }
        None => (
            format!("Umami's migration {name} has failed, and is noted so in the database"),
            mark.way_back(),
        ),
    };
    let resolve = format!(
        "docker exec \"$(docker ps --quiet --filter name={stack}_umami.1)\" node --env-file=/run/secrets/umami \
         node_modules/prisma/build/index.js migrate resolve --rolled-back {name}"
    );
    let mut hint = format!(
        "look at the database; where the migration has changed nothing, or you have undone it, `{resolve}` on the node of \
         umami; "
    );
    if let Some(way_back) = way_back {
        hint += &format!(
            "or go back to before it with `{way_back}`, which loses what was written since; "
        );
    }
    hint += "then `cargo xtask production deploy` with a version of Umami that works";
    Problem {
        what: format!("{what}: {}", problem.what),
        ..problem
    }
    .hint(hint)
}

/// What Prisma says of a migration that failed (5.x and 6.x, read 2026-11-30).
#[derive(Debug, PartialEq, Eq)]
struct Failed {
    name: String,
    /// Seconds since 1970, where it is a note that is found in the database.
    began: Option<u64>,
}

impl Failed {
    fn parse(said: &str) -> Option<Failed> {
        if said.contains("P3009") {
            // The `20_name` migration started at 2026-11-30 19:00:00.123456 UTC failed
            let (_, rest) = said.split_once("The `")?;
            let (name, rest) = rest.split_once('`')?;
            let (_, time) = rest.split_once(" started at ")?;
            return Some(Failed {
                name: name.to_owned(),
                began: parse_timestamp(time),
            });
        }
        let (_, rest) = said.split_once("P3018")?;
        let (_, rest) = rest.split_once("Migration name: ")?;
        Some(Failed {
            name: rest.lines().next()?.trim().to_owned(),
            began: None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const P3009: &str = "Error: P3009\n\nmigrate found failed migrations in the target database, new migrations will not be \
                         applied. Read more about how to resolve migration issues in a production database: \
                         https://pris.ly/d/migrate-resolve\nThe `20_broken` migration started at 2026-11-30 19:00:00.123456 \
                         UTC failed";
    const P3018: &str = "Error: P3018\n\nA migration failed to apply. New migrations cannot be applied before the error is \
                         recovered from. Read more: https://pris.ly/d/migrate-resolve\n\nMigration name: 20_broken\n\nDatabase \
                         error code: 42P01";

    fn explained(said: &str) -> Problem {
        let mark = Mark {
            name: "release-2".to_owned(),
            at: Some("2026-11-30 20:00:00".to_owned()),
        };
        let problem = Problem::new("the job umami-migrate failed").evidence(said);
        explain(problem, "analytics", &mark)
    }

    #[test]
    fn an_older_failure_is_left_by_a_time_before_it_or_by_a_note_that_it_is_undone() {
        let problem = explained(P3009);
        assert_eq!(
            problem.what,
            "an earlier deployment has left Umami's migration 20_broken failed (P3009): the job umami-migrate failed"
        );
        let hint = problem.hint.unwrap();
        for part in [
            "migrate resolve --rolled-back 20_broken`",
            "name=analytics_umami.1",
            "`cargo xtask production restore --at '2026-11-30 18:59:59'`",
        ] {
            assert!(hint.contains(part), "{hint}");
        }
    }

    #[test]
    fn a_failure_of_this_deployment_is_left_by_its_mark() {
        let hint = explained(P3018).hint.unwrap();
        assert!(hint.contains("--at '2026-11-30 20:00:00'`"), "{hint}");
        assert!(hint.contains("--rolled-back 20_broken`"), "{hint}");
    }

    #[test]
    fn another_failure_stays_as_it_is() {
        let problem = explained("connection refused");
        assert_eq!(
            (problem.what.as_str(), problem.hint),
            ("the job umami-migrate failed", None)
        );
    }
}
