//! Whether the env file is there, private, out of Git, and read alike by everybody. Must never quote a
//! value.

use std::path::Path;

use super::finding::Finding;
use crate::checkout::Checkout;
use crate::env::dialect::{self, Assignment};
use crate::env::file;
use crate::env::template::Variable;
use crate::problem::Problem;
use crate::system::files;
use crate::system::git::{GitState, git_state};

const CHECK: &str = ".env";

/// Looks at the file itself; what its values mean is looked at elsewhere.
pub fn check(checkout: &Checkout) -> Vec<Finding> {
    let path = checkout.env_file();
    let name = checkout.display(&path);
    let text = match files::read_text(&path) {
        Ok(Some(text)) => text,
        Ok(None) => {
            let problem = Problem::new(format!("there is no {name} yet"));
            let problem = problem.hint("`cargo xtask setup` makes it");
            return vec![Finding::warning(CHECK, problem)];
        }
        Err(error) => return vec![Finding::error(CHECK, Problem::of(&error))],
    };

    let mut findings = vec![check_mode(&path, &name)];
    findings.extend(check_git(checkout, &path, &name));
    // A file that cannot be parsed is reported by whoever needs it.
    if let Ok(assignments) = dialect::parse(&text) {
        findings.extend(check_missing(checkout, &name, &assignments));
        findings.extend(assignments.iter().filter_map(|it| check_readers(it, &text)));
        findings.extend(assignments.iter().filter_map(check_shell));
    }
    findings
}

fn check_mode(path: &Path, name: &str) -> Finding {
    match files::is_private(path) {
        Ok(true) => Finding::good(CHECK, format!("{name} is readable for you alone")),
        Ok(false) => {
            let problem = Problem::new(format!("other users can read {name}"));
            Finding::warning(CHECK, problem.hint(format!("`chmod 600 {name}`")))
        }
        Err(error) => Finding::error(CHECK, Problem::of(&error)),
    }
}

fn check_git(checkout: &Checkout, path: &Path, name: &str) -> Option<Finding> {
    let problem = match git_state(checkout.root(), path)? {
        GitState::Ignored => return Some(Finding::good(CHECK, format!("Git ignores {name}"))),
        GitState::Committed => {
            Problem::new(format!("{name} is committed to Git, with its secrets")).hint(format!(
                "`git rm --cached {name}`, then `cargo xtask rotate`"
            ))
        }
        GitState::NotIgnored => Problem::new(format!("Git does not ignore {name}"))
            .hint("`git checkout -- .gitignore deploy/analytics/.gitignore`"),
    };
    Some(Finding::warning(CHECK, problem))
}

fn check_missing(checkout: &Checkout, name: &str, present: &[Assignment]) -> Option<Finding> {
    let template = file::read_template(checkout).ok()?;
    let lacks = |want: &&Variable| present.iter().all(|it| it.key != want.key);
    let missing: Vec<&str> = template
        .variables()
        .iter()
        .filter(|want| !want.is_optional)
        .filter(lacks)
        .map(|want| want.key.as_str())
        .collect();
    if missing.is_empty() {
        return None;
    }
    let problem = Problem::new(format!("{name} lacks {}", missing.join(", ")));
    let problem = problem.hint("`cargo xtask setup` adds what is missing");
    Some(Finding::warning(CHECK, problem))
}

/// Whether other readers of the file take a value for another one than Compose does.
fn check_readers(assignment: &Assignment, text: &str) -> Option<Finding> {
    let read = dotenvy::from_read_iter(assignment.written(text).as_bytes()).next();
    let is_same = matches!(read, Some(Ok((_, value))) if value == assignment.value);
    if is_same || assignment.has_references {
        return None;
    }
    let (line, key) = (assignment.line, &assignment.key);
    let problem = Problem::new(format!(
        "line {line}: Compose and dotenv read {key} differently"
    ));
    let hint = "fine for this stack; for other readers put the value in single quotes";
    Some(Finding::warning(CHECK, problem.hint(hint)))
}

/// Whether the user's shell has another value for plain Compose.
fn check_shell(assignment: &Assignment) -> Option<Finding> {
    let key = &assignment.key;
    std::env::var(key)
        .ok()
        .filter(|exported| *exported != assignment.value)?;
    let problem = Problem::new(format!(
        "your shell exports another {key}, which plain `docker compose` prefers"
    ));
    let hint = format!("`unset {key}`; `cargo xtask` ignores it");
    Some(Finding::warning(CHECK, problem.hint(hint)))
}
