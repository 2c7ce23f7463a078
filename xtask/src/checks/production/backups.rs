//! Backups, archive and drills: whether they are as new as they should be. Only looks.

use crate::checks::finding::Finding;
use crate::env::values::Values;
use crate::problem::Problem;
use crate::swarm::Swarm;
use crate::swarm::operation::Standing;
use crate::swarm::release::Release;
use crate::system::clock;
use crate::terminal::text::{parse_timestamp, render_bytes, render_duration};

const CHECK: &str = "backups";

/// A backup that is due may take this long.
const BACKUP_GRACE: u64 = 2 * 3600;

/// A drill older than a week and a day has not come when it was due.
const DRILL_LIMIT: u64 = 8 * 86_400;

pub fn check(swarm: &Swarm, release: &Release) -> Vec<Finding> {
    match swarm.operate::<Standing>(release, "report", "") {
        Ok(standing) => judge(&standing, swarm.docker.values(), clock::now()),
        Err(error) => vec![Finding::error(CHECK, Problem::of(&error))],
    }
}

fn judge(standing: &Standing, values: &Values, now: u64) -> Vec<Finding> {
    let mut findings = Vec::new();
    if standing.archive_failing == Some(true) {
        let what = "the bucket does not take what PostgreSQL writes: it is on one disk only, which fills up";
        let hint = "`cargo xtask production logs postgres` shows why";
        findings.push(Finding::error("archive", Problem::new(what).hint(hint)));
    }
    findings.extend(judge_room(standing));
    findings.push(judge_backup(standing, values, now));
    findings.push(judge_drill(standing, now));
    findings
}

/// A restore and a drill put a second copy of the databases beside those in use.
fn judge_room(standing: &Standing) -> Option<Finding> {
    let (needed, free) = (standing.database_bytes?, standing.free_bytes?);
    if free >= needed {
        return None;
    }
    let (needed, free) = (render_bytes(needed), render_bytes(free));
    let what = format!(
        "{free} are free beside the databases, which have {needed}: neither a restore nor a drill has room"
    );
    let hint = "give that machine a larger disk, or make room: `docker system df` shows what images and volumes take";
    Some(Finding::warning("disk", Problem::new(what).hint(hint)))
}

fn judge_backup(standing: &Standing, values: &Values, now: u64) -> Finding {
    let hint = "`cargo xtask production logs backup` shows why";
    if standing.pgbackrest.is_none() {
        let problem = Problem::new("the bucket does not answer");
        return Finding::error(CHECK, problem.hint(hint));
    }
    let Some(newest) = standing.newest() else {
        let problem = Problem::new("there is no backup in the bucket yet");
        return Finding::error(CHECK, problem.hint(hint));
    };
    let age = now.saturating_sub(newest.timestamp.stop);
    let what = format!("{} is {} old", newest.label, render_duration(age));
    let hours: u64 = values.text("BACKUP_HOURS").parse().unwrap_or(24);
    if age > hours * 3600 + BACKUP_GRACE {
        let problem = Problem::new(format!("the newest backup, {what}"));
        return Finding::error(CHECK, problem.hint(hint));
    }
    Finding::good(CHECK, format!("the newest, {what}"))
}

fn judge_drill(standing: &Standing, now: u64) -> Finding {
    let hint = "`cargo xtask production logs backup` shows what the last one said";
    let passed = standing.last_passed_drill.as_deref();
    let Some(at) = passed.and_then(parse_timestamp) else {
        let problem = Problem::new(
            "no drill has passed yet, so nobody knows whether a backup can be restored",
        );
        let problem = problem.hint("try it with `cargo xtask production drill`");
        // The first one comes with the first backup.
        let oldest = standing.oldest().map(|set| set.timestamp.stop);
        return if oldest.is_some_and(|stop| now.saturating_sub(stop) > DRILL_LIMIT) {
            Finding::error("drill", problem)
        } else {
            Finding::warning("drill", problem)
        };
    };
    let age = now.saturating_sub(at);
    let what = format!("the last that passed is {} old", render_duration(age));
    if age > DRILL_LIMIT {
        return Finding::error("drill", Problem::new(what).hint(hint));
    }
    Finding::good("drill", what)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::finding::Level;
    use crate::env::template::Template;

    /// 2026-11-25T14:00:00Z
    const NOW: u64 = 1_795_615_200;

    fn levels(json: &str) -> Vec<(&'static str, Level)> {
        let template = Template::parse("# BACKUP_HOURS=24\n").unwrap();
        let values = Values::of(template, "", ".env", &|_| None).unwrap();
        let findings = judge(&serde_json::from_str(json).unwrap(), &values, NOW).into_iter();
        findings.map(|it| (it.check, it.level)).collect()
    }

    #[test]
    fn what_is_new_is_good() {
        let json = r#"{"archive_failing":false,"last_passed_drill":"2026-11-20T03:00:00+00:00",
            "pgbackrest":[{"backup":[{"label":"a","timestamp":{"start":1,"stop":1795600000}}]}]}"#;
        assert_eq!(levels(json), [(CHECK, Level::Good), ("drill", Level::Good)]);
    }

    #[test]
    fn a_second_copy_needs_as_much_room_as_the_first() {
        let standing = |free: u64| Standing {
            database_bytes: Some(5000),
            free_bytes: Some(free),
            ..Standing::default()
        };
        assert_eq!(judge_room(&standing(5000)), None);
        let found = judge_room(&standing(4999)).unwrap();
        assert_eq!((found.check, found.level), ("disk", Level::Warning));
    }

    #[test]
    fn what_is_old_fails_or_was_never_there_is_not() {
        let json = r#"{"archive_failing":true,"last_passed_drill":"2026-11-01T03:00:00+00:00",
            "pgbackrest":[{"backup":[{"label":"a","timestamp":{"stop":1795400000}}]}]}"#;
        let expected = [
            ("archive", Level::Error),
            (CHECK, Level::Error),
            ("drill", Level::Error),
        ];
        assert_eq!(levels(json), expected);
        let nothing = r#"{"archive_failing":null,"last_passed_drill":null,"pgbackrest":null}"#;
        assert_eq!(
            levels(nothing),
            [(CHECK, Level::Error), ("drill", Level::Warning)]
        );
        let never_drilled = r#"{"pgbackrest":[{"backup":[{"label":"a","timestamp":{"stop":1794000000}},
            {"label":"b","timestamp":{"stop":1795600000}}]}]}"#;
        assert_eq!(
            levels(never_drilled),
            [(CHECK, Level::Good), ("drill", Level::Error)]
        );
        let empty = r#"{"pgbackrest":[{"name":"main"}]}"#;
        assert_eq!(levels(empty)[0], (CHECK, Level::Error));
    }
}
